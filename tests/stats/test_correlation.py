from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.stats import ceiling, rank_correlation, reliability


def parents(number: int, rho: float, candidates: int = 50, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(seed)
    made = []
    for _ in range(number):
        x, noise = random.normal(size=(2, candidates))
        made.append((x, rho * x + math.sqrt(1 - rho**2) * noise))
    return made


def test_by_hand():
    # One swap of neighbours among five: sum of squared rank differences 2, rho = 1 - 6 * 2 / (5 * 24) = 0.9.
    found = rank_correlation([([1, 2, 3, 4, 5], [10, 20, 30, 50, 40])])
    assert found.rho == pytest.approx((0.9,))
    assert found.mean == pytest.approx(0.9)
    assert found.low is None
    assert found.reason == "an interval needs 10 parents, there is 1"


few = st.integers(-3, 3).map(float)  # so that ties are common


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(few, few), min_size=5, max_size=30))
def test_against_scipy_with_ties(pairs):
    x, y = np.array(pairs).T
    found = rank_correlation([(x, y)]).rho[0]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert found is None
    else:
        assert found == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-9)


def test_only_the_order_counts():
    x, y = parents(1, 0.5)[0]
    assert rank_correlation([(np.exp(3 * x), y**3)]).rho == rank_correlation([(x, y)]).rho
    assert rank_correlation([(-x, y)]).rho[0] == pytest.approx(-rank_correlation([(x, y)]).rho[0])


def test_ten_parents_have_an_interval_over_parents():
    ten = rank_correlation(parents(10, 0.5))
    z = np.arctanh(ten.rho)
    half = scipy.stats.t.ppf(0.975, 9) * z.std(ddof=1) / math.sqrt(10)
    assert ten.mean == pytest.approx(math.tanh(z.mean()))
    assert (ten.low, ten.high) == pytest.approx((math.tanh(z.mean() - half), math.tanh(z.mean() + half)))
    assert ten.reason == ""
    nine = rank_correlation(parents(9, 0.5))
    assert nine.low is None
    assert nine.reason == "an interval needs 10 parents, there are 9"


def test_parents_are_never_pooled():
    # Within each parent there is no relation at all; between parents both numbers rise together.
    shifted = [(x + 100 * i, y + 100 * i) for i, (x, y) in enumerate(parents(12, 0.0, seed=5))]
    pooled = scipy.stats.spearmanr(np.concatenate([x for x, _ in shifted]), np.concatenate([y for _, y in shifted]))
    assert pooled.statistic > 0.9
    found = rank_correlation(shifted)
    assert abs(found.mean) < 0.1
    assert found.low < 0 < found.high


def test_the_interval_covers_zero_as_often_as_it_says():
    # A correct interval fails this check for 1 in 1,000 seeds.
    hits = 0
    for seed in range(400):
        found = rank_correlation(parents(10, 0.0, candidates=20, seed=seed))
        hits += found.low <= 0 <= found.high
    assert abs(hits / 400 - 0.95) < 3.29 * math.sqrt(0.95 * 0.05 / 400)


def test_equal_candidates_have_no_order_and_are_counted():
    flat = [(np.arange(50.0), np.zeros(50))]
    found = rank_correlation(parents(9, 0.5) + flat)
    assert found.rho[-1] is None
    assert found.low is None
    assert found.reason == "an interval needs 10 parents, there are 9 (1 more have candidates that are all equal)"
    assert rank_correlation(parents(10, 0.5) + flat).reason == ""
    assert rank_correlation(flat).mean is None
    assert rank_correlation([]).mean is None


def test_a_perfect_order_stays_finite():
    perfect = [(np.arange(5.0), np.arange(5.0))] * 12
    found = rank_correlation(perfect)
    assert found.rho == pytest.approx((1.0,) * 12)
    assert found.mean == pytest.approx(0.9)  # one swap short of perfect, as by hand above


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4]),
        ([1, 2, 3, 4, math.nan], [1, 2, 3, 4, 5]),
        ([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5]]),
    ],
)
def test_what_has_no_rho(x, y):
    with pytest.raises(ValueError, match="rho needs"):
        rank_correlation([(x, y)])


def test_reliability_caps_what_a_score_can_reach():
    # A score that knows the true quality exactly, and two noisy trainings of it, half signal and half noise.
    random = np.random.default_rng(0)
    scores, repeats = [], []
    for _ in range(12):
        quality, first, second = random.normal(size=(3, 500))
        scores.append((quality, quality + first))
        repeats.append((quality + first, quality + second))
    most = ceiling(reliability(repeats))
    assert most == pytest.approx(math.sqrt(0.48), abs=0.03)  # Spearman's rho of two normals correlated by 0.5
    assert rank_correlation(scores).mean == pytest.approx(most, abs=0.03)
    assert ceiling(rank_correlation([(np.arange(5.0), -np.arange(5.0))])) == 0
    assert ceiling(rank_correlation([])) is None
