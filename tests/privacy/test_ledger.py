from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from dp_accounting.pld import PLDAccountant, privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.data import digits, split
from labkit.errors import BadInput
from labkit.privacy import Plan, shared, spent
from labkit.privacy.coverage import free, not_covered
from labkit.privacy.events import ExponentialMechanismDpEvent, dp_sgd
from labkit.privacy.ledger import NOT_RELEASABLE, TUNING, Entry, by_data, events, everything, this_run, winner
from labkit.privacy.repeats import plan_repeats

Q = 256 / 3500
COMMON = {"examples": 3500, "batch_size": 256, "clip_norm": 1.0, "delta": 1e-5}


def plan(sigma: float = 3.0, steps: int = 400, **changes) -> Plan:
    return Plan.noised(noise_multiplier=sigma, **COMMON | {"steps": steps} | changes)


def entry(name: str, made: Plan | None = None, **changes) -> Entry:
    return Entry(**{"name": name, "plan": made or plan(), "fingerprint": "data", "group": "seed 0"} | changes)


def test_by_hand():
    a, b, c = entry("a"), entry("b", plan(4.0)), entry("c", group="seed 1")
    assert events([a, b]) == [dp_sgd(Q, 2.4, 400)]  # 3 and 4 share each draw: 1/9 + 1/16 = 25/144
    assert events([a, c]) == [dp_sgd(Q, 3.0, 400), dp_sgd(Q, 3.0, 400)]
    assert this_run([a, b, c], "a").epsilon == a.plan.epsilon
    assert everything([a, c]).epsilon == pytest.approx(spent(dp_sgd(Q, 3.0, 800), 1e-5).epsilon)


@pytest.mark.parametrize(("members", "together", "independent"), [(10, 11.3, 7.6), (50, 77.6, 20.8)])
def test_shared_draws_are_one_event_at_the_stated_figures(members, together, independent):
    of_one_seed = [entry(str(i)) for i in range(members)]
    assert everything(of_one_seed).epsilon == pytest.approx(together, abs=0.1)
    of_many = [entry(str(i), group=f"seed {i}") for i in range(members)]
    assert everything(of_many).epsilon == pytest.approx(independent, abs=0.05)


@pytest.mark.parametrize("sigmas", [(1.0, 2.0), (0.8, 3.0, 1.5)])
def test_shared_draws_against_a_direct_computation(sigmas):
    """The members' releases as one vector: integrate the privacy loss of the mixture in its own coordinates."""
    q, random = 0.1, np.random.default_rng(0)
    direction = np.array([1 / sigma for sigma in sigmas])
    z = random.normal(size=(400_000, len(sigmas)))
    drawn = random.random(400_000) < q
    release = (z + drawn[:, None] * direction) * np.array(sigmas)  # with the record
    each = stats.norm.logpdf(release, 1, sigmas).sum(1) - stats.norm.logpdf(release, 0, sigmas).sum(1)
    loss = np.log1p(q * np.expm1(each))  # of the joint release of one step
    one = privacy_loss_distribution.from_gaussian_mechanism(
        shared(sigmas), sampling_prob=q, value_discretization_interval=1e-4
    )
    for epsilon in (0.05, 0.3):
        terms = np.maximum(0, -np.expm1(epsilon - loss))
        error = terms.std() / math.sqrt(len(terms))
        exact = one.get_delta_for_epsilon(epsilon)  # the larger of removing and adding, which removing is
        assert abs(terms.mean() - exact) < 4 * error  # a correct program fails for 1 in 16,000 seeds


@settings(max_examples=20, deadline=None)
@given(
    members=st.lists(st.tuples(st.sampled_from([2.0, 3.0, 5.0]), st.integers(1, 6)), min_size=1, max_size=5),
)
def test_members_that_stop_earlier_are_counted_step_by_step(members):
    made = [entry(str(i), plan(sigma, 6), last=last) for i, (sigma, last) in enumerate(members)]
    expected: dict[float, int] = {}
    for step in range(6):
        active = [sigma for sigma, last in members if last > step]
        if active:
            expected[shared(active)] = expected.get(shared(active), 0) + 1
    counted: dict[float, int] = {}
    for event in events(made):
        sigma = event.event.event.noise_multiplier
        counted[sigma] = counted.get(sigma, 0) + event.count
    assert counted == expected


def test_stop_and_resume_with_the_same_states_costs_once():
    made = plan()
    whole = this_run([entry("a", made)], "a")
    resumed = [entry("a", made, last=250), entry("a", made, first=200)]  # 50 steps again, with the same noise
    assert this_run(resumed, "a") == whole
    assert len(events(resumed)) == 3


def test_a_replay_with_fresh_noise_costs_again():
    made = plan()
    replayed = [entry("a", made, last=250), entry("a", made, first=200, noise="a again")]
    assert events(replayed) == [
        dp_sgd(Q, 3.0, 200),
        dp_sgd(Q, 3 / math.sqrt(2), 50),  # the same draws, noised twice
        dp_sgd(Q, 3.0, 150),
    ]
    fresh = [entry("a", made, last=250), entry("a", made, first=200, noise="a again", group="drawn again")]
    assert sum(event.count for event in events(fresh)) == 450
    once = this_run([entry("a", made)], "a").epsilon
    assert once < this_run(fresh, "a").epsilon < this_run(replayed, "a").epsilon


def test_a_stopped_run_shows_both_costs():
    total = this_run([entry("a", last=100)], "a")
    assert total.epsilon == total.planned.epsilon == plan().epsilon
    assert total.executed.epsilon == pytest.approx(plan().spent_after(100).epsilon)
    # An execution that was abandoned for one with fresh noise does not go on in the plan.
    again = [entry("a", last=100, noise="first"), entry("a", last=300, noise="second")]
    assert [event.count for event in events(again)] == [100, 200]
    planned = spent([dp_sgd(Q, 3 / math.sqrt(2), 100), dp_sgd(Q, 3.0, 300)], 1e-5)
    assert this_run(again, "a").planned == planned


def test_the_winner_is_charged_for_being_chosen():
    arms = [entry(f"arm {i}") for i in range(10)]
    tuning = entry("tuning", group="seed 100", kind=TUNING)
    ledger = [*arms, tuning]
    alone = this_run(ledger, "arm 3").epsilon
    looked_at = winner(ledger, "arm 3", among=[f"arm {i}" for i in range(10)]).epsilon
    assert alone == plan().epsilon
    assert looked_at == pytest.approx(11.3, abs=0.1)
    assert everything(ledger).epsilon > looked_at
    assert everything(ledger).note == NOT_RELEASABLE
    with pytest.raises(BadInput, match="arm 11"):
        winner(ledger, "arm 3", among=["arm 11"])


def test_unlike_mechanisms_compose():
    choice = ExponentialMechanismDpEvent(0.3)
    chosen = plan(4.0, also=(choice,))
    both = [entry("chosen", chosen), entry("other", group="seed 1")]
    assert winner(both, "chosen").epsilon == pytest.approx(chosen.epsilon)
    total = everything(both)
    assert total.planned == spent([dp_sgd(Q, 4.0, 400), dp_sgd(Q, 3.0, 400), choice], 1e-5)
    gaussian = spent([dp_sgd(Q, 4.0, 400), dp_sgd(Q, 3.0, 400)], 1e-5).epsilon
    assert gaussian < total.epsilon <= gaussian + 0.3 + 1e-3
    repeats = plan_repeats(epsilon=1.0, mean=5.0, steps=400, **COMMON)
    assert this_run([entry("repeats", repeats)], "repeats").epsilon == pytest.approx(repeats.epsilon)
    with_repeats = everything([*both, entry("repeats", repeats, group="own")])
    assert total.epsilon < with_repeats.epsilon < total.epsilon + repeats.epsilon
    assert with_repeats.planned.delta == 1e-5


def test_what_else_is_in_a_plan_is_charged_once_a_run():
    chosen = plan(4.0, also=(ExponentialMechanismDpEvent(0.3),))
    resumed = [entry("a", chosen, last=200), entry("a", chosen, first=200)]
    assert this_run(resumed, "a").epsilon == pytest.approx(chosen.epsilon)


def test_the_same_data_under_another_split_is_the_same_ledger():
    data = digits.load()
    first, second = split(data, 0), split(data, 1)
    assert first.fingerprint == second.fingerprint
    assert not torch.equal(first.train.y, second.train.y)
    ledger = [
        entry("a", fingerprint=first.fingerprint, group="split 0, seed 0"),
        entry("b", fingerprint=second.fingerprint, group="split 1, seed 0"),
    ]
    assert len(by_data(ledger)) == 1
    assert everything(ledger).epsilon == pytest.approx(
        PLDAccountant().compose(dp_sgd(Q, 3.0, 800)).get_epsilon(1e-5), rel=1e-3
    )


def test_other_data_have_a_ledger_of_their_own():
    ledger = [entry("a"), entry("b", fingerprint="other")]
    with pytest.raises(BadInput, match="fingerprint"):
        everything(ledger)
    assert {name: len(found) for name, found in by_data(ledger).items()} == {"data": 1, "other": 1}
    assert this_run(ledger, "a").epsilon == plan().epsilon


def test_runs_without_noise_make_the_total_infinite_and_are_named():
    plain = Plan.nonprivate("plain: a baseline", examples=3500, batch_size=256, steps=400)
    total = everything([entry("a"), entry("plain", plain)])
    assert total.epsilon == math.inf
    assert total.unprotected == ("plain",)
    assert total.planned.epsilon == plan().epsilon
    assert this_run([entry("plain", plain)], "plain").epsilon == math.inf


def test_the_smallest_delta_is_the_joint_one():
    total = everything([entry("a"), entry("b", plan(delta=1e-6), group="seed 1")])
    assert total.planned.delta == 1e-6
    assert total.planned == spent(dp_sgd(Q, 3.0, 800), 1e-6)


def test_noise_and_draws_are_never_shared_by_mistake():
    with pytest.raises(BadInput, match="noise"):
        events([entry("a", noise="one"), entry("b", plan(4.0), noise="one")])
    with pytest.raises(BadInput, match="noise"):
        events([entry("a"), entry("a", group="seed 1")])  # other draws under the same noise
    with pytest.raises(BadInput, match="one sample rate"):
        events([entry("a"), entry("b", plan(batch_size=128))])
    with pytest.raises(BadInput, match="one plan"):
        events([entry("a"), entry("a", plan(4.0), noise="another")])
    with pytest.raises(BadInput, match="last"):
        entry("a", last=401)
    with pytest.raises(BadInput, match="entries"):
        this_run([entry("a")], "b")


def test_what_is_free_and_what_is_not_covered_is_said_with_reasons():
    assert {"post-processing", "public data", "fixed random masks"} <= {said.what for said in free()}
    assert any("loss landscapes" in said.what for said in not_covered())
    assert all(said.why for said in (*free(), *not_covered()))
    assert dataclasses.is_dataclass(free()[0])
