from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.stats import holm, judge_losses, loss_bound, loss_p_value, noninferiority, pick

M = 0.005


def test_by_hand():
    # Mean 2, sd 1, standard error 1/sqrt(3); the one-sided t table says 2.920 for 2 degrees of freedom and 95 %.
    assert loss_bound([1, 2, 3]) == pytest.approx(2 + 2.920 / math.sqrt(3), abs=1e-3)
    # At a margin of 2 + 2.920/sqrt(3) the p-value is 5 %; at the mean it is one half.
    assert loss_p_value([1, 2, 3], 2 + 2.920 / math.sqrt(3)) == pytest.approx(0.05, abs=1e-4)
    assert loss_p_value([1, 2, 3], 2) == pytest.approx(0.5)


values = st.lists(st.floats(-1, 1).map(lambda x: round(x, 4)), min_size=2, max_size=20)


@settings(max_examples=60, deadline=None)
@given(losses=values.filter(lambda v: np.std(v) > 1e-3), margin=st.floats(-0.5, 0.5), level=st.floats(0.6, 0.99))
def test_against_scipy(losses, margin, level):
    test = scipy.stats.ttest_1samp(losses, margin, alternative="less")
    assert loss_p_value(losses, margin) == pytest.approx(test.pvalue, rel=1e-6, abs=1e-12)
    assert loss_bound(losses, level) == pytest.approx(test.confidence_interval(level).high, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(losses=values, margin=st.floats(0.001, 0.5))
def test_the_bound_and_the_p_value_agree(losses, margin):
    bound, p = loss_bound(losses), loss_p_value(losses, margin)
    if abs(bound - margin) > 1e-9:
        assert (bound < margin) == (p <= 0.05)
    assert loss_bound(losses, 0.99) >= bound
    assert loss_p_value(losses, margin + 0.1) <= p + 1e-12


def test_equal_losses_have_no_width():
    assert loss_bound([0.004] * 5) == 0.004
    assert loss_p_value([0.004] * 5, M) == 0
    assert loss_p_value([0.006] * 5, M) == 1
    assert noninferiority([M] * 5, M).word == "not shown"  # a loss of the margin itself matters


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_bound_lies_above_the_truth_as_often_as_it_says(n):
    # A correct bound fails this check for 1 in 1,000 seeds: 3.29 standard errors of a share of 0.95.
    losses = np.random.default_rng(n).normal(0, 1, (10_000, n))
    covered = np.mean([loss_bound(row) >= 0 for row in losses])
    assert abs(covered - 0.95) < 3.29 * math.sqrt(0.95 * 0.05 / len(losses))


def test_a_family_at_the_margin_is_rarely_called_non_inferior():
    # 500 families of 6 at exactly the margin: at most 5 % may call one; 3.29 standard errors allowed (1 in 1,000).
    # Without Holm 1 - 0.95^6 = 26 % would.
    random = np.random.default_rng(0)
    called = alone = 0
    for _ in range(500):
        members = {i: (random.normal(M, 0.002, 5), M) for i in range(6)}
        called += any(found.word == "non-inferior" for found in judge_losses(members).values())
        alone += any(noninferiority(losses, M).word == "non-inferior" for losses, _ in members.values())
    assert called / 500 < 0.05 + 3.29 * math.sqrt(0.05 * 0.95 / 500)
    assert alone / 500 > 0.18


def test_words_by_number_of_seeds():
    assert noninferiority([], M).text == "undecided: too few seeds: a bound needs 2, there are 0"
    one = noninferiority([0.001], M)
    assert (one.word, one.mean, one.upper, one.p_value) == ("undecided", 0.001, None, None)
    assert one.text.endswith("there is 1")
    four = noninferiority([0.001, 0.0012, 0.0008, 0.001], M)
    assert four.text == "undecided: fewer than 5 seeds"
    assert four.upper == pytest.approx(loss_bound([0.001, 0.0012, 0.0008, 0.001]))
    five = noninferiority([0.001, 0.0012, 0.0008, 0.001, 0.0011], M)
    assert five.word == "non-inferior"
    assert "against 0.005, 5 seeds" in five.text
    assert noninferiority([0.001, 0.02, -0.01, 0.005, 0.01], M).word == "not shown"


def test_after_a_look_only_the_agreed_sizes_are_judged_and_more_strictly():
    losses = np.random.default_rng(3).normal(0.001, 0.001, 10)
    assert noninferiority(losses, M, looks=4).word == "non-inferior"
    assert "seeds were added" in noninferiority(losses[:7], M, looks=4).text
    close = [0.0, 0.001, 0.002, 0.003, 0.008]
    margin = loss_bound(close) + 1e-6
    assert noninferiority(close, margin).word == "non-inferior"
    assert noninferiority(close, margin, looks=4).word == "not shown"
    assert noninferiority(close, margin, looks=4).level == 0.9875


def test_a_family_by_hand():
    low, high = [0.001, 0.002, 0.0015, 0.001, 0.002], [0.004, 0.0055, 0.003, 0.0052, 0.0045]
    found = judge_losses({"low": (low, M), "high": (high, M), "wide": (low, 0.01), "empty": ((), M)})
    own = [loss_p_value(low, M), loss_p_value(high, M), loss_p_value(low, 0.01), 1.0]
    assert [found[name].p_value for name in ("low", "high", "wide")] == pytest.approx(holm(own)[:3])
    assert (found["low"].word, found["high"].word, found["empty"].word) == ("non-inferior", "not shown", "undecided")
    assert "(Holm)" in found["low"].text


def test_the_pick_by_hand():
    losses = {
        "small": [0.001, 0.001, 0.0011],
        "large": [0.002, 0.002, 0.0021],
        "too much": [0.004, 0.004, 0.0062],  # its mean is within the margin, its bound is not
        "alone": [0.0],
    }
    gains = {"small": 10.0, "large": 100.0, "too much": 1000.0, "alone": 1e6}
    assert pick(losses, gains, M) == "large"
    assert pick(losses, gains, 0.01) == "too much"
    assert pick(losses, gains, 0.0001) is None
    assert pick(losses, gains | {"large": 10.0}, M) == "small"  # no less gained, less lost
    assert pick({}, {}, M) is None


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), margins=st.tuples(st.floats(0.001, 0.02), st.floats(0.001, 0.02)))
def test_a_wider_margin_never_gains_less(seed, margins):
    random = np.random.default_rng(seed)
    losses = {i: random.normal(0.003, 0.003, 5) for i in range(6)}
    gains = {i: float(random.exponential()) for i in range(6)}
    narrow, wide = (pick(losses, gains, margin) for margin in sorted(margins))
    assert narrow is None or gains[wide] >= gains[narrow]


@pytest.mark.parametrize("margin", [0, -1, math.nan, math.inf])
def test_margins_are_positive(margin):
    with pytest.raises(ValueError, match="margin"):
        noninferiority([0, 0, 0, 0, 0], margin)


def test_what_cannot_be_judged():
    with pytest.raises(ValueError, match="looks"):
        noninferiority([0.0] * 5, M, looks=2)
    with pytest.raises(ValueError, match="finite"):
        noninferiority([math.nan] * 5, M)
    with pytest.raises(ValueError, match="level"):
        loss_bound([1, 2], 0.5)
    with pytest.raises(ValueError, match="interval needs"):
        loss_bound([1])
