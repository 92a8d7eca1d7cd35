from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.stats import mean_interval, paired_interval, paired_p_value, sampling_error

ROUNDS = 20_000


def test_by_hand():
    # Mean 2, sd 1, standard error 1/sqrt(3); the t table says 4.303 for 2 degrees of freedom and 95 %.
    low, high = mean_interval([1, 2, 3])
    assert low == pytest.approx(2 - 4.303 / math.sqrt(3), abs=1e-3)
    assert high == pytest.approx(2 + 4.303 / math.sqrt(3), abs=1e-3)


finite = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@settings(max_examples=100, deadline=None)
@given(values=st.lists(finite, min_size=2, max_size=30).filter(lambda v: np.std(v) > 1e-3), level=st.floats(0.5, 0.999))
def test_against_scipy(values, level):
    test = scipy.stats.ttest_1samp(values, 0)
    interval = test.confidence_interval(level)
    assert paired_interval(values, level) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)
    assert paired_p_value(values) == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(values=st.lists(finite, min_size=2, max_size=30), shift=finite, level=st.floats(0.5, 0.99))
def test_a_shift_shifts_and_a_higher_level_is_wider(values, shift, level):
    low, high = mean_interval(values, level)
    assert low <= np.mean(values) + 1e-6
    assert high >= np.mean(values) - 1e-6
    moved = mean_interval(np.array(values) + shift, level)
    assert moved == pytest.approx((low + shift, high + shift), rel=1e-6, abs=1e-2)
    wider = mean_interval(values, level + 0.005)
    assert wider[0] <= low
    assert wider[1] >= high


def test_p_value_and_interval_agree_on_what_excludes_zero():
    for seed in range(300):
        values = np.random.default_rng(seed).normal(0.8, 1, 6)
        low, high = paired_interval(values)
        assert (paired_p_value(values) <= 0.05) == (low >= 0 or high <= 0)


def test_equal_values_have_no_width():
    assert mean_interval([0.1] * 5) == (0.1, 0.1)
    assert paired_p_value([0.0] * 5) == 1
    assert paired_p_value([0.1] * 5) == 0


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]], [1.0, math.nan], [1.0, math.inf]])
def test_what_has_no_interval(values):
    with pytest.raises(ValueError, match="interval needs"):
        mean_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_are_shares(level):
    with pytest.raises(ValueError, match="level"):
        mean_interval([1, 2, 3], level)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_it_covers_the_mean_as_often_as_it_says(n):
    # A correct interval fails this check for 1 in 1,000 seeds: 3.29 standard errors of a share of 0.95.
    values = np.random.default_rng(n).normal(0, 1, (ROUNDS // 2, n))
    covered = np.mean([low <= 0 <= high for low, high in map(mean_interval, values)])
    assert abs(covered - 0.95) < 3.29 * math.sqrt(0.95 * 0.05 / len(values))


@pytest.mark.parametrize(("n", "expected"), [(3, 0.76), (5, 0.84), (10, 0.89)])
def test_the_percentile_bootstrap_does_not(n, expected):
    # Why it is not used. The stated figures are rounded; 2,000 rounds have a standard error of 0.01 at most.
    random = np.random.default_rng(n)
    values = random.normal(0, 1, (2000, n))
    picked = random.integers(0, n, (500, n))
    low, high = np.quantile(values[:, picked].mean(axis=2), [0.025, 0.975], axis=1)
    covered = np.mean((low <= 0) & (high >= 0))
    assert covered == pytest.approx(expected, abs=0.03)
    assert covered < 0.95 - 3.29 * math.sqrt(0.95 * 0.05 / 2000)


def test_sampling_error_of_the_fixed_test_set():
    assert sampling_error(0.85, 1500) == pytest.approx(0.009, abs=5e-4)
    assert sampling_error(0.5, 100) == 0.05
    with pytest.raises(ValueError, match="accuracy"):
        sampling_error(85, 1500)
