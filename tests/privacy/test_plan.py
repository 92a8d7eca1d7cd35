from __future__ import annotations

import dataclasses
import json
import math
import pickle
import time

import dp_accounting
import numpy as np
import pytest
from dp_accounting import GaussianDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import BadInput
from labkit.privacy import Plan, spent
from labkit.privacy.calibration import least_noise
from labkit.privacy.events import ExponentialMechanismDpEvent, dp_sgd

COMMON = {"examples": 3500, "batch_size": 256, "steps": 400, "clip_norm": 1.0}


def test_by_hand():
    plan = Plan.noised(noise_multiplier=3.0, delta=1e-5, **COMMON)
    assert round(plan.epsilon, 2) == 2.06
    assert plan.accountant == "PLD"
    assert plan.sample_rate == 256 / 3500
    assert plan.sensitivity == 1.0
    assert plan.private
    assert plan.event() == dp_sgd(256 / 3500, 3.0, 400)
    assert Plan.noised(noise_multiplier=3.0, **COMMON).delta == 1e-5
    large = Plan.noised(noise_multiplier=3.0, **COMMON | {"examples": 60_000})
    assert large.delta == pytest.approx(1 / 600_000)


@pytest.mark.parametrize("epsilon", [0.25, 1, 8])
def test_calibrated_spends_what_it_may_and_no_more(epsilon):
    # A number of steps that no other test uses, so that nothing is cached.
    plan = Plan.calibrated(epsilon=epsilon, delta=1e-5, **COMMON | {"steps": 391})
    by_grid = PLDAccountant().compose(plan.event()).get_epsilon(1e-5)
    assert epsilon * (1 - 1e-3) <= plan.epsilon <= epsilon
    assert by_grid == pytest.approx(plan.epsilon, rel=2e-3)


def test_against_the_library_s_own_calibration():
    plan = Plan.calibrated(epsilon=2.0, delta=1e-5, **COMMON)
    theirs = dp_accounting.calibrate_dp_mechanism(
        PLDAccountant,
        lambda sigma: dp_sgd(256 / 3500, sigma, 400),
        2.0,
        1e-5,
        dp_accounting.ExplicitBracketInterval(2.5, 4.0),
        tol=1e-3,
    )
    assert plan.noise_multiplier == pytest.approx(theirs, rel=2e-3)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(epsilon=st.floats(0.01, 20), batch=st.integers(1, 3500), steps=st.integers(1, 2000))
def test_calibrated_is_never_above_and_solving_back_agrees(epsilon, batch, steps):
    given = {"examples": 3500, "batch_size": batch, "steps": steps, "clip_norm": 0.5}
    plan = Plan.calibrated(epsilon=epsilon, **given)
    assert plan.epsilon <= epsilon
    assert plan.epsilon >= epsilon * (1 - 1e-3)
    assert Plan.noised(noise_multiplier=plan.noise_multiplier, **given) == plan


def test_a_plan_takes_less_than_two_seconds():
    began = time.process_time()
    Plan.calibrated(epsilon=3.0, delta=1e-5, **COMMON | {"steps": 397})
    assert time.process_time() - began < 2
    again = time.process_time()
    Plan.calibrated(epsilon=3.0, delta=1e-5, **COMMON | {"steps": 397})
    assert time.process_time() - again < 0.05


def test_what_else_is_charged_leaves_less_for_the_training():
    choice = ExponentialMechanismDpEvent(0.3)
    alone = Plan.calibrated(epsilon=1.0, delta=1e-5, **COMMON)
    both = Plan.calibrated(epsilon=1.0, delta=1e-5, also=(choice,), **COMMON)
    assert both.noise_multiplier > 1.1 * alone.noise_multiplier
    assert both.epsilon == pytest.approx(spent([both.event(), choice], 1e-5).epsilon)
    assert 0.999 <= both.epsilon <= 1
    with pytest.raises(BadInput, match=r"epsilon = 0.25 .* above 0.3"):
        Plan.calibrated(epsilon=0.25, also=(choice,), **COMMON)


def test_any_epsilon_is_reachable_with_enough_noise():
    plan = Plan.calibrated(epsilon=1e-4, **COMMON)
    assert 0 < plan.epsilon <= 1e-4
    assert Plan.noised(noise_multiplier=1e6, **COMMON).epsilon == 0.0  # a bound below the grid: delta alone covers it
    with pytest.raises(BadInput, match="1e\\+09 reaches by PLD or RDP"):
        least_noise(lambda sigma: 1.0, 0.5, 1.0, 1e-3)


def test_a_plan_cannot_claim_less_than_its_noise_costs():
    plan = Plan.calibrated(epsilon=1.0, **COMMON)
    with pytest.raises(BadInput, match="what this noise costs"):
        dataclasses.replace(plan, noise_multiplier=plan.noise_multiplier / 2)
    with pytest.raises(BadInput, match="what this noise costs"):
        dataclasses.replace(plan, also=(GaussianDpEvent(2.0),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.epsilon = 0.1
    assert dataclasses.replace(plan, epsilon=1.5).epsilon == 1.5  # more is no lie
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_without_noise_there_is_never_an_epsilon():
    for plan in (
        Plan.nonprivate("clipped: a baseline", **COMMON),
        Plan.nonprivate("plain: a baseline", examples=10, batch_size=2, steps=3),
    ):
        assert plan.epsilon is plan.delta is None
        assert not plan.private
        assert isinstance(plan.event(), dp_accounting.NonPrivateDpEvent)
        assert plan.spent_after(2).epsilon == math.inf
        record = plan.record()
        assert "epsilon" not in record
        assert "delta" not in record
        assert record["reason"].startswith(("clipped", "plain"))
        json.dumps(record, allow_nan=False)
        with pytest.raises(BadInput, match="no epsilon"):
            plan.curve()
        for claim in ({"epsilon": 1.0}, {"delta": 1e-5}, {"accountant": "PLD"}):
            with pytest.raises(BadInput, match="nonprivate"):
                dataclasses.replace(plan, **claim)
    with pytest.raises(BadInput, match="reason"):
        Plan.nonprivate("", **COMMON)


def test_the_record_is_plain_and_says_what_is_protected():
    plan = Plan.calibrated(epsilon=1.0, also=(ExponentialMechanismDpEvent(0.1),), **COMMON)
    record = json.loads(json.dumps(plan.record(), allow_nan=False))
    assert record["relation"] == "add/remove one record"
    assert record["unit"] == "one training example (training split only)"
    assert record["sampling"] == "Poisson"
    assert record["noise"] == "for teaching: reproducible from its seed"
    assert record["also"] == ["ExponentialMechanismDpEvent(epsilon=0.1)"]
    assert record["accountant"] == "PLD"
    for name in ("epsilon", "delta", "sample_rate", "steps", "clip_norm", "noise_multiplier"):
        assert record[name] == getattr(plan, name)
    secret = dataclasses.replace(plan, noise_source="os").record()
    assert "reproducible" not in secret["noise"]


def test_digests_differ_with_any_field_and_with_nothing_else():
    plan = Plan.noised(noise_multiplier=3.0, delta=1e-5, **COMMON)
    same = Plan.noised(noise_multiplier=np.float64(3), delta=1e-5, **COMMON | {"steps": np.int64(400)})
    assert same.digest() == plan.digest()
    others = [
        dataclasses.replace(plan, **change)
        for change in (
            {"examples": 3501},
            {"steps": 399},
            {"clip_norm": 1.1},
            {"noise_multiplier": 3.1},
            {"delta": 2e-5},
            {"epsilon": 2.5},
            {"noise_source": "os"},
            {"also": (ExponentialMechanismDpEvent(0.1),), "epsilon": 3.0},
            {"also": (ExponentialMechanismDpEvent(0.2),), "epsilon": 3.0},
        )
    ]
    assert len({plan.digest(), *(other.digest() for other in others)}) == len(others) + 1


def test_the_curve_rises_to_the_whole():
    plan = Plan.calibrated(epsilon=1.0, delta=1e-5, also=(ExponentialMechanismDpEvent(0.2),), **COMMON)
    curve = plan.curve()
    steps, epsilons = zip(*curve, strict=True)
    assert curve[0] == (0, 0.2)
    assert curve[-1] == (400, plan.epsilon)
    assert len(curve) == 25
    assert list(steps) == sorted(set(steps))
    assert list(epsilons) == sorted(epsilons)
    middle = curve[12]
    exact = PLDAccountant().compose(plan.event(middle[0])).get_epsilon(1e-5)
    assert exact <= middle[1] <= exact + 0.2 + 1e-3
    assert middle[1] == pytest.approx(plan.spent_after(middle[0]).epsilon, rel=5e-3)
    assert plan.curve(4)[-1] == curve[-1]
    short = Plan.noised(noise_multiplier=1.0, examples=10, batch_size=2, steps=1, clip_norm=1.0)
    assert short.curve() == ((0, 0.0), (1, short.epsilon))


def test_the_gauge_never_says_less_than_was_spent_and_ends_at_the_plan():
    plan = Plan.noised(noise_multiplier=1.1, examples=7000, batch_size=256, steps=400, clip_norm=1.0)
    said = {steps: plan.at_most_after(steps) for steps in (0, 1, 40, 123, 300, 400)}
    assert list(said.values()) == sorted(said.values())
    assert all(plan.spent_after(steps).epsilon <= epsilon * (1 + 1e-3) for steps, epsilon in said.items())
    assert said[300] < 1.1 * plan.spent_after(300).epsilon
    assert said[400] == plan.epsilon
    with pytest.raises(BadInput, match="steps"):
        plan.at_most_after(401)


def test_spent_after_grows_to_the_plan():
    plan = Plan.noised(noise_multiplier=3.0, delta=1e-5, **COMMON)
    assert plan.spent_after(0).epsilon == 0
    assert plan.spent_after(100).epsilon < plan.spent_after(200).epsilon < plan.spent_after(400).epsilon == plan.epsilon
    assert plan.spent_after(100).delta == 1e-5
    with pytest.raises(BadInput, match="steps = 401"):
        plan.spent_after(401)


def test_it_makes_the_sampler_and_the_keys_that_its_cost_supposes():
    plan = Plan.noised(noise_multiplier=3.0, **COMMON)
    sampler = plan.sampler([1, 2])
    assert (sampler.examples, sampler.sample_rate, list(sampler.keys)) == (3500, 256 / 3500, [1, 2])
    assert plan.noise_key(1, "run", 0) == plan.noise_key(1, "run", 0) != plan.noise_key(1, "run", 1)
    assert plan.draw_key(1, "a") == plan.draw_key(1, "a") != plan.draw_key(2, "a")
    secret = dataclasses.replace(plan, noise_source="os")
    assert secret.noise_key(1, "run", 0) != secret.noise_key(1, "run", 0)


@pytest.mark.parametrize("epsilon", [0, -1, math.inf, math.nan, "1", None, True])
def test_epsilons_that_cannot_be_name_the_words(epsilon):
    with pytest.raises(BadInput, match=r"epsilon = .* words clipped and plain"):
        Plan.calibrated(epsilon=epsilon, **COMMON)


@pytest.mark.parametrize("sigma", [0, -1.0, math.inf, math.nan])
def test_noise_that_cannot_be(sigma):
    with pytest.raises(BadInput, match=r"noise_multiplier = .* words clipped and plain"):
        Plan.noised(noise_multiplier=sigma, **COMMON)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delta": 0.0},
        {"delta": 1 / 3500},
        {"delta": math.nan},
        {"clip_norm": 0.0},
        {"clip_norm": -1.0},
        {"clip_norm": math.nan},
        {"clip_norm": math.inf},
        {"batch_size": 0},
        {"batch_size": 3501},
        {"batch_size": 2.5},
        {"steps": 0},
        {"examples": 0},
        {"noise_source": "quantum"},
    ],
)
def test_bad_input_is_named(wrong):
    ((name, _),) = wrong.items()
    for make in (Plan.calibrated, Plan.noised):
        amount = {"epsilon": 1.0} if make == Plan.calibrated else {"noise_multiplier": 1.0}
        with pytest.raises(BadInput) as caught:
            make(**amount, **COMMON | wrong)
        assert caught.value.parameter == name
        assert caught.value.value == wrong[name] or math.isnan(wrong[name])


def test_a_plan_that_overflows_both_accountants_says_which_and_what_to_use():
    with pytest.raises(BadInput, match=r"PLD and RDP.*more noise or fewer steps"):
        Plan.noised(noise_multiplier=1e-160, **COMMON)
