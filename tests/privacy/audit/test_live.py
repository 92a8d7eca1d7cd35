from __future__ import annotations

import numpy as np
import pytest
import torch

from labkit.errors import BadInput
from labkit.privacy.audit.game import finish
from labkit.privacy.audit.live import audit
from labkit.privacy.plan import Plan


def examples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(1500, 1, 4, 4)).astype(np.float32), np.arange(1500) % 3


def plan(**changed: object) -> Plan:
    fields = {"noise_multiplier": 1.0, "examples": 1500, "batch_size": 150, "steps": 30, "clip_norm": 1.0}
    return Plan.noised(**(fields | {"delta": 1e-5} | changed))


def test_both_bounds_lie_below_a_correct_trainers_epsilon():
    # Each of three bounds accuses a correct trainer for 1 in 1,000 seeds.
    held = plan(noise_multiplier=0.7)
    steps = audit(held, *examples(), runs=150, seed=0, canaries=500)
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            found = end.value
            break
    bounds = {"lower", "supposing_nothing", "one_run"}
    about = {"epsilon", "delta", "refuted", "confidence", "runs", "canaries"}
    assert set(found) == bounds | {f"{bound}_expected" for bound in bounds} | about
    assert found["epsilon"] == held.epsilon
    assert (found["delta"], found["confidence"], found["runs"], found["canaries"]) == (1e-5, 0.999, 150, 500)
    assert 0 < found["lower"] < held.epsilon
    assert not found["refuted"]
    assert 0 <= found["one_run"] < held.epsilon
    assert all(type(value) in (int, float, bool) for value in found.values())
    assert len({total for _, total in told}) == 1  # one bar from beginning to end
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_the_one_run_sees_much_of_a_weak_guarantee():
    # epsilon is 18; at 99.9 % one run expects 1.8 with a standard deviation below .2.
    held = plan(noise_multiplier=0.5)
    found = finish(audit(held, *examples(), runs=1, seed=0))
    assert 1 < found["one_run"] < held.epsilon


def test_the_same_seed_gives_the_same_numbers_and_no_canaries_no_one_run():
    x, y = (torch.from_numpy(array) for array in examples())
    first, again = (finish(audit(plan(), x, y, runs=20, seed=3, canaries=0)) for _ in range(2))
    assert first == again
    assert "one_run" not in first


def test_training_without_noise_is_not_audited():
    with pytest.raises(BadInput, match="plan"):
        finish(audit(Plan.nonprivate("plain", examples=1500, batch_size=150, steps=30), *examples(), runs=10, seed=0))
