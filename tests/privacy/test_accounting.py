from __future__ import annotations

import logging
import math

import dp_accounting
import pytest
from dp_accounting import GaussianDpEvent, LaplaceDpEvent, NonPrivateDpEvent, ZCDpEvent
from dp_accounting.dp_event import RepeatAndSelectDpEvent, SampledWithReplacementDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import PRVAccountant

from labkit.errors import BadInput
from labkit.privacy import default_delta, shared, spent
from labkit.privacy.accountants import rdp_epsilon
from labkit.privacy.events import ExponentialMechanismDpEvent, dp_sgd, parts

Q = 256 / 3500  # .073, at which the figures of the shared draws were computed


def test_no_mechanism_costs_nothing():
    assert spent([], 1e-5).epsilon == 0
    assert parts([dp_sgd(0.1, 1.0, 0)]) == ()


def test_compositions_are_counted_by_hand():
    composed = dp_accounting.ComposedDpEvent(
        [dp_sgd(0.1, 1.0, 3), dp_accounting.SelfComposedDpEvent(dp_sgd(0.1, 1.0, 2), 4), GaussianDpEvent(2.0)]
    )
    counted = dict(parts([composed, GaussianDpEvent(2.0)]))
    assert counted == {dp_accounting.PoissonSampledDpEvent(0.1, GaussianDpEvent(1.0)): 11, GaussianDpEvent(2.0): 2}


@pytest.mark.parametrize("sigma", [0.7, 1.0, 5.0])
def test_one_gaussian_against_its_closed_form(sigma):
    found = spent(GaussianDpEvent(sigma), 1e-5)
    assert found.epsilon == pytest.approx(dp_accounting.get_epsilon_gaussian(sigma, 1e-5), rel=1e-4)
    assert found.accountant == "PLD"
    if sigma == 1:
        assert round(found.epsilon, 2) == 4.38


@settings(max_examples=10, deadline=None)
@given(
    q=st.floats(0.001, 0.3), sigma=st.floats(0.8, 20), steps=st.integers(1, 1000), delta=st.sampled_from([1e-5, 1e-7])
)
def test_never_below_the_finest_grid_and_close_to_it(q, sigma, steps, delta):
    event = dp_sgd(q, sigma, steps)
    exact = PLDAccountant(value_discretization_interval=1e-4).compose(event).get_epsilon(delta)
    found = spent(event, delta).epsilon
    assert found <= exact * (1 + 2e-3) + 1e-4
    assert found >= exact * (1 - 2e-3) - 1e-3  # where epsilon is small, the fixed grid is the coarser one
    assert found <= rdp_epsilon(parts([event]), delta)


@pytest.mark.parametrize(("sigma", "q", "steps"), [(1.0, 0.01, 1000), (3.0, Q, 400)])
def test_against_opacus(sigma, q, steps):
    prv = PRVAccountant()
    prv.history = [(sigma, q, steps)]
    theirs = prv.get_epsilon(1e-5)  # up to .01 above the truth
    assert theirs - 0.02 <= spent(dp_sgd(q, sigma, steps), 1e-5).epsilon <= theirs


@pytest.mark.parametrize(("members", "together", "independent"), [(10, 11.3, 7.6), (50, 77.6, 20.8)])
def test_shared_draws_at_the_stated_figures(members, together, independent):
    sigma = shared([3.0] * members)
    assert sigma == pytest.approx(3 / math.sqrt(members))
    assert spent(dp_sgd(Q, sigma, 400), 1e-5).epsilon == pytest.approx(together, abs=0.1)
    assert spent(dp_sgd(Q, 3.0, 400 * members), 1e-5).epsilon == pytest.approx(independent, abs=0.05)


def test_shared_by_hand():
    assert shared([3.0, 4.0]) == pytest.approx(2.4)  # 1/9 + 1/16 = 25/144
    assert shared([2.0]) == 2.0
    assert shared([2.0, math.inf]) == 2.0
    assert shared([1.0, 0.0]) == 0.0
    assert shared([]) == math.inf
    assert shared([1e-200, 1e-200]) == pytest.approx(1e-200 / math.sqrt(2))
    with pytest.raises(BadInput, match="noise_multiplier"):
        shared([1.0, -1.0])


@settings(max_examples=50, deadline=None)
@given(sigmas=st.lists(st.floats(0.1, 100), min_size=1, max_size=20))
def test_shared_is_the_noise_of_the_whitened_sum(sigmas):
    # Each member's sum divided by its sigma is one vector with unit noise; a record moves it by the root of the sum.
    moved = math.hypot(*(1 / sigma for sigma in sigmas))
    assert shared(sigmas) == pytest.approx(1 / moved)


def test_the_exponential_mechanism_joins_both_accountants():
    alone = spent(ExponentialMechanismDpEvent(0.5), 1e-5)
    assert (alone.epsilon, alone.accountant) == (0.5, "PLD")
    training = dp_sgd(0.01, 1.0, 400)
    joint = spent([training, ExponentialMechanismDpEvent(0.5)], 1e-5)
    rdp = RdpAccountant().compose(training).compose(ZCDpEvent(0.5**2 / 8)).get_epsilon(1e-5)
    base = spent(training, 1e-5).epsilon
    assert base < joint.epsilon <= min(rdp, base + 0.5 + 1e-3)
    # Fifty small choices: as zCDP they cost less than the sum of their epsilons.
    many = spent(dp_accounting.SelfComposedDpEvent(ExponentialMechanismDpEvent(0.5), 50), 1e-5)
    assert many.accountant == "RDP"
    assert many.epsilon == pytest.approx(RdpAccountant().compose(ZCDpEvent(50 * 0.5**2 / 8)).get_epsilon(1e-5))
    assert many.epsilon < 10


def test_foreign_parts_reach_pld_by_a_guarantee_and_delta_is_joint():
    training = dp_sgd(0.01, 1.0, 400)
    choice = RepeatAndSelectDpEvent(GaussianDpEvent(30.0), 3.0, 1.0)
    joint = spent([training, choice], 1e-5)
    rdp = RdpAccountant().compose(training).compose(choice).get_epsilon(1e-5)
    assert spent(training, 1e-5).epsilon < joint.epsilon <= rdp
    share = 0.1 * 1e-5  # any split of delta by hand is an upper bound
    by_hand = spent(training, 0.9e-5).epsilon + RdpAccountant().compose(choice).get_epsilon(share)
    assert joint.epsilon <= by_hand * (1 + 1e-3)


def test_laplace_noise_is_known_to_both():
    found = spent([LaplaceDpEvent(2.0), LaplaceDpEvent(2.0)], 1e-5)
    assert 0.9 < found.epsilon <= 1 + 1e-3  # two of epsilon 0.5
    assert spent(dp_accounting.PoissonSampledDpEvent(0.1, LaplaceDpEvent(2.0)), 1e-5).epsilon == pytest.approx(
        math.log1p(0.1 * math.expm1(0.5)), abs=1e-3
    )


def test_without_noise_epsilon_is_infinite():
    for event in (NonPrivateDpEvent(), GaussianDpEvent(0.0), dp_sgd(0.1, 0.0, 5)):
        found = spent([dp_sgd(0.1, 1.0, 5), event], 1e-5)
        assert (found.epsilon, found.accountant) == (math.inf, "none")


@pytest.mark.parametrize("sigma", [1e-5, 1e5, 1e8])
def test_where_one_accountant_fails_the_other_is_named(sigma):
    # PLD overflows with 1e-5; RDP's divergence becomes negative with 1e8, which dp_accounting takes for epsilon 0.
    found = spent(dp_sgd(1e-3, sigma, 1), 1e-5)
    assert found.accountant == ("RDP" if sigma < 1 else "PLD")
    if sigma == 1e8:
        with pytest.raises(ValueError, match="negative"):
            rdp_epsilon(parts([dp_sgd(1e-3, sigma, 1)]), 1e-5)


def test_where_both_fail_both_are_named():
    with pytest.raises(BadInput, match="more noise or fewer steps") as caught:
        spent(dp_sgd(0.01, 1e-160, 100), 1e-5)
    assert "PLD: overflow" in str(caught.value)
    assert "RDP: overflow" in str(caught.value)
    with pytest.raises(BadInput, match="no Renyi divergence of SampledWithReplacementDpEvent"):
        spent(SampledWithReplacementDpEvent(10, 2, GaussianDpEvent(1.0)), 1e-5)


@pytest.mark.parametrize("delta", [0, 1, -1e-5, math.nan])
def test_delta_is_a_probability(delta):
    with pytest.raises(BadInput, match="delta"):
        spent(GaussianDpEvent(1.0), delta)


def test_default_delta():
    assert default_delta(100) == 1e-5
    assert default_delta(60_000) == pytest.approx(1 / 600_000)


def test_left_out_orders_are_not_told_but_everything_else_is(caplog):
    with caplog.at_level(logging.WARNING, logger="absl"):
        rdp_epsilon(parts([dp_sgd(0.5, 20.0, 977)]), 1e-5)
        assert not caplog.records
        RdpAccountant().compose(dp_sgd(0.5, 20.0, 977))  # what would be said without us
        assert any("Excluding this order" in record.getMessage() for record in caplog.records)
