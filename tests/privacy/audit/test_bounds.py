from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from labkit.errors import BadInput
from labkit.privacy.audit.bounds import (
    Counts,
    certain_rates,
    clopper_pearson,
    epsilon_lower,
    epsilon_of_mu,
    mu_lower,
)

DELTA = 1e-5
RUNS = 4000


def gaussian_game(mu: float, runs: int, seed: int) -> Counts:
    """A Gaussian mechanism with and without the canary; the threshold lies at half the shift."""
    random = np.random.default_rng(seed)
    with_it, without = random.normal(mu, 1, runs) > mu / 2, random.normal(0, 1, runs) > mu / 2
    return Counts(int(with_it.sum()), runs, int(without.sum()), runs)


def test_by_hand():
    # 0 of n: the upper bound solves (1 - p)^n = error; n of n mirrors it.
    assert clopper_pearson(0, 10, 0.025) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert clopper_pearson(10, 10, 0.025) == (pytest.approx(0.025**0.1), 1.0)
    # One run in each world, right both times, 80 % joint: 10 % each side, TPR >= .1 and FPR <= .9.
    assert certain_rates(Counts(1, 1, 0, 1), 0.8) == pytest.approx((0.1, 0.9))
    assert epsilon_lower(Counts(1, 1, 0, 1), 0.0, 0.8) == 0
    # 5 % each side of 100 of 100 and 0 of 100: FPR <= 1 - .05^.01 = .0295, and TPR above its complement.
    rate = 1 - 0.05**0.01
    assert epsilon_lower(Counts(100, 100, 0, 100), 0.0, 0.9) == pytest.approx(math.log((1 - rate) / rate))
    assert mu_lower(100, 100, 0, 100, 0.9) == pytest.approx(-2 * special.ndtri(rate))


def test_the_stated_epsilon_of_the_known_gaussian():
    assert round(epsilon_of_mu(1, DELTA), 2) == 4.38
    assert epsilon_of_mu(0, DELTA) == 0
    assert epsilon_of_mu(1e-6, DELTA) == 0  # its delta at epsilon 0 is smaller already


@pytest.mark.parametrize("mu", [0.1, 0.5, 1.0, 3.0])
def test_epsilon_of_mu_against_dp_accounting(mu):
    loss = privacy_loss_distribution.from_gaussian_mechanism(1 / mu, value_discretization_interval=1e-4)
    # The grid's answer lies above the exact one, by less than its step.
    assert 0 <= loss.get_epsilon_for_delta(DELTA) - epsilon_of_mu(mu, DELTA) < 1e-4


@settings(max_examples=50, deadline=None)
@given(runs=st.integers(1, 5000), share=st.floats(0, 1), error=st.floats(1e-6, 0.4))
def test_clopper_pearson_against_scipy(runs, share, error):
    successes = round(share * runs)
    found = stats.binomtest(successes, runs).proportion_ci(1 - 2 * error, method="exact")
    assert clopper_pearson(successes, runs, error) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize("confidence", [0.95, 0.999])
def test_the_known_gaussian_reaches_three_quarters(confidence):
    # sigma 1, C 1, 4,000 runs a world. Even at 99.9 % the bound expects 3.57 with a standard deviation of .1: a correct
    # program falls below .75 * 4.38 = 3.28 for 1 in 400 seeds at 99.9 %, for 1 in 10^10 at 95 %.
    counts = gaussian_game(1.0, RUNS, seed=0)
    bound = epsilon_of_mu(mu_lower(counts.true_positives, RUNS, counts.false_positives, RUNS, confidence), DELTA)
    assert 0.75 * 4.377 <= bound <= 4.377


def test_a_correct_mechanism_is_exceeded_as_rarely_as_stated():
    # 2,000 games at 80 % joint confidence: more than 20 % + 3.1 standard errors exceed it for 1 in 1,000 seeds; in fact
    # fewer do, because both sides seldom fail together.
    games = 2000
    exceeded = 0
    for seed in range(games):
        counts = gaussian_game(1.0, 200, seed)
        exceeded += mu_lower(counts.true_positives, 200, counts.false_positives, 200, 0.8) > 1
    assert 0 < exceeded / games <= 0.2 + 3.1 * math.sqrt(0.2 * 0.8 / games)


def test_half_the_noise_is_seen_at_a_claimed_mu_of_a_half():
    # 1,000 runs a world, 99.9 % joint: each game sees it with a probability of .999, so all 100 seeds with one of .9.
    # At most 97 of 100 happens to a correct program for 1 in 10,000 seeds.
    seen = 0
    for seed in range(100):
        counts = gaussian_game(1.0, 1000, seed)
        seen += mu_lower(counts.true_positives, 1000, counts.false_positives, 1000, 0.999) > 0.5
    assert seen >= 98


def test_the_stated_share_of_the_bound_that_supposes_nothing():
    # A Gaussian with the best threshold that could be fixed beforehand, expected counts, 4,000 runs: 27 to 43 %.
    shares = []
    for mu in (0.5, 1.0, 2.0):
        thresholds = np.linspace(0, 5, 101)
        hits = [
            Counts(round(RUNS * special.ndtr(mu - t)), RUNS, round(RUNS * special.ndtr(-t)), RUNS) for t in thresholds
        ]
        best = max(epsilon_lower(counts, DELTA, 0.95) for counts in hits)
        shares.append(best / epsilon_of_mu(mu, DELTA))
    assert all(0.2 < share < 0.5 for share in shares), shares


def test_the_stated_bound_where_one_batch_serves_all_steps():
    # q .07, T 400, sigma 6: one run in 14 holds the canary 400 times, which shifts the score by 20 / 6 deviations.
    # At a threshold of 3, 46 of 1,000 runs are expected with it and 1.35 without.
    assert epsilon_lower(Counts(46, 1000, 1, 1000), DELTA, 0.95) == pytest.approx(1.8, abs=0.1)


@settings(max_examples=50, deadline=None)
@given(
    hits=st.integers(0, 500),
    alarms=st.integers(0, 500),
    confidence=st.floats(0.5, 0.9999),
    delta=st.sampled_from([0.0, 1e-5, 0.1]),
)
def test_bounds_are_finite_and_grow_with_the_evidence(hits, alarms, confidence, delta):
    counts = Counts(hits, 500, alarms, 500)
    bound = epsilon_lower(counts, delta, confidence)
    assert 0 <= bound < math.inf
    if hits < 500:
        assert epsilon_lower(Counts(hits + 1, 500, alarms, 500), delta, confidence) >= bound
    assert epsilon_lower(counts, min(1.0, delta + 0.05), confidence) <= bound
    assert mu_lower(hits, 500, alarms, 500, confidence) >= mu_lower(hits, 500, min(500, alarms + 1), 500, confidence)


@pytest.mark.parametrize(
    ("make", "parameter"),
    [
        (lambda: Counts(1, 0, 0, 1), "with_runs"),
        (lambda: Counts(3, 2, 0, 1), "true_positives"),
        (lambda: Counts(1, 2, -1, 1), "false_positives"),
        (lambda: certain_rates(Counts(1, 2, 1, 2), 1.0), "confidence"),
        (lambda: epsilon_of_mu(math.nan, DELTA), "mu"),
        (lambda: epsilon_of_mu(1.0, 0.0), "delta"),
    ],
)
def test_what_is_no_game(make, parameter):
    with pytest.raises(BadInput, match=parameter):
        make()
