"""What both private trainings share: noise, empty draws, the expected batch, and going on after a stop."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from retrieval_world import DIRECT, LOGIT, PAIRS, alone, encoder, flat, noised, trainer, without_noise
from scipy import stats

from labkit.errors import BadInput
from labkit.privacy.noise import OS

BOTH = pytest.mark.parametrize("kind", [DIRECT, LOGIT])


def first_empty(made) -> int:
    return next(step for step in range(made.steps) if not len(made.drawn(step)))


@BOTH
def test_an_empty_draw_is_a_step_of_the_planned_noise(kind):
    """sigma * sensitivity; one weight's noise from another's key would not be standard normal (false alarms 1e-4)."""
    made = trainer(kind, noised(1.3, 0.7, batch_size=1, steps=12), draw_key=8)
    made.advance(first_empty(made))
    before = flat(made.encoder.parameters())
    made.advance(1)
    z = made.total.double() / (1.3 * 0.7)
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-4
    assert float(z.square().mean()) == pytest.approx(1, abs=4 * (2 / len(z)) ** 0.5)
    assert not torch.equal(flat(made.encoder.parameters()), before)


@BOTH
def test_adam_sees_the_sum_over_the_expected_batch(kind):
    made = trainer(kind, without_noise(steps=1), draw_key=5)
    assert len(made.drawn(0)) != made.plan.batch_size
    made.advance(1)
    assert torch.equal(made.weights.grad, made.total / 8)
    assert made.seen == len(made.drawn(0))


@BOTH
def test_a_plan_without_noise_adds_none(kind):
    made = trainer(kind, without_noise(0.5, batch_size=1, steps=12), draw_key=8)
    made.advance(first_empty(made) + 1)
    assert not made.total.any()


@BOTH
def test_stopped_and_resumed_it_ends_in_the_same_bits(kind):
    plan = noised(1.0, 5.0)
    whole, begun, resumed, fresh = (trainer(kind, plan) for _ in range(4))
    whole.advance(5)
    begun.advance(2)
    resumed.load(begun.state())
    resumed.advance(99)
    fresh.load(trainer(kind, plan).state())  # stopped before the first step
    fresh.advance(5)
    for made in (resumed, fresh):
        assert torch.equal(flat(made.encoder.parameters()), flat(whole.encoder.parameters()))
        assert (made.done, made.seen, made.clipped) == (5, whole.seen, whole.clipped)


@BOTH
def test_a_checkpoint_of_another_plan_or_other_keys_is_refused(kind):
    state = trainer(kind, noised()).state()
    with pytest.raises(BadInput, match="plan"):
        trainer(kind, noised(1.01)).load(state)
    for changes in ({"noise_key": 7}, {"draw_key": 7}):
        with pytest.raises(BadInput, match="noise_key"):
            trainer(kind, noised(), **changes).load(state)


@BOTH
def test_keys_from_the_operating_system_are_never_written(kind):
    keys = {"noise_key": 2**62 + 12345, "draw_key": 2**127 + 999}
    seeded = trainer(kind, noised(), **keys).state()
    assert bytes(seeded["keys"].tolist()) == keys["draw_key"].to_bytes(16, "big") + keys["noise_key"].to_bytes(8, "big")
    made = trainer(kind, dataclasses.replace(noised(), noise_source=OS), **keys)
    made.advance(1)
    assert set(made.state()) == {"weights", "exp_avg", "exp_avg_sq", "step", "plan", "counts"}


def test_the_start_is_the_encoders_own_weights():
    """So that it can begin from an encoder trained on public or synthetic pairs."""
    start = encoder(seed=9)
    made = trainer(DIRECT, noised(), encoder=start)
    assert torch.equal(made.weights.double(), flat(start.parameters()))
    made.advance(1)
    assert torch.equal(made.weights.double(), flat(start.parameters()))


@BOTH
def test_a_micro_batch_that_does_not_fit_is_halved(kind, monkeypatch):
    made, whole = trainer(kind, noised(), micro_batch=8), trainer(kind, noised(), micro_batch=8)
    add = made._sum

    def crowded(units):
        found = add(units)
        if made.micro_batch > 2:
            raise torch.cuda.OutOfMemoryError("planted")
        return found

    monkeypatch.setattr(made, "_sum", crowded)
    made.advance(1)
    whole.advance(1)
    assert made.micro_batch == 2
    assert (made.seen, made.clipped) == (whole.seen, whole.clipped)
    assert torch.allclose(made.total, whole.total, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"units": alone(PAIRS - 1)}, "examples"),
        ({"units": alone() - 1}, "unit_rows"),
        ({"units": torch.stack([torch.arange(PAIRS), torch.arange(PAIRS).roll(1)], 1)}, "unit_rows"),
        ({"temperature": 0.0}, "temperature"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"micro_batch": 0}, "micro_batch"),
    ],
)
def test_bad_input(changes, named):
    with pytest.raises(BadInput, match=named):
        trainer(DIRECT, noised(), **changes)
