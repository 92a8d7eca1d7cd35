from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.duration.survfunc import SurvfuncRight

from labkit.stats import restricted_mean


def test_by_hand():
    assert restricted_mean([10, 20, 100], [False, False, True], horizon=100) == pytest.approx(130 / 3)
    assert restricted_mean([100, 100], [True, True], horizon=100) == 100
    assert restricted_mean([10, 150], [False, False], horizon=100) == 55  # arrived later: of the first 100 steps, 100


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.integers(1, 150), min_size=2, max_size=20))
def test_against_the_area_under_kaplan_meier(steps):
    horizon = 100
    censored = [step > horizon for step in steps]
    capped = [min(step, horizon) for step in steps]
    curve = SurvfuncRight(np.array(capped, float), [not late for late in censored])
    times = np.concatenate([[0], curve.surv_times, [horizon]])
    alive = np.concatenate([[1], curve.surv_prob])
    assert restricted_mean(capped, censored, horizon) == pytest.approx(np.sum(alive * np.diff(times)))


def test_leaving_out_the_late_would_flatter_the_slow():
    slow, fast = [10, 100, 100], [20, 30, 40]
    late = [False, True, True]
    assert np.mean([10]) < np.mean(fast)  # the mean of those that arrived
    assert restricted_mean(slow, late, 100) > restricted_mean(fast, [False] * 3, 100)


@pytest.mark.parametrize(
    ("steps", "censored", "horizon"),
    [
        ([], [], 100),
        ([1, 2], [False], 100),
        ([[1]], [[False]], 100),
        ([-1], [False], 100),
        ([math.nan], [False], 100),
        ([1], [False], 0),
        ([50], [True], 100),
    ],
)
def test_what_cannot_be_counted(steps, censored, horizon):
    with pytest.raises(ValueError, match=r"step"):
        restricted_mean(steps, censored, horizon)
