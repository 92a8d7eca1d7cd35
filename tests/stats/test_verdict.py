from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import statsmodels.stats.weightstats
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.stats import FEWEST, LOOKS, paired_interval, verdict

M = 0.01


def spread(mean: float, half: float, n: int = 5) -> np.ndarray:
    """n differences with this mean whose 95 % interval has this half width."""
    shape = np.linspace(-1, 1, n)
    low, high = paired_interval(shape)
    return mean + shape * half / ((high - low) / 2)


@pytest.mark.parametrize(
    ("mean", "half", "word"),
    [
        (0.0, 0.005, "no difference"),
        (0.004, 0.005, "no difference"),
        (0.004, 0.003, "better by less than m"),
        (-0.004, 0.003, "worse by less than m"),
        (0.03, 0.01, "better"),
        (-0.03, 0.01, "worse"),
        (0.012, 0.011, "better"),  # wholly above 0, and not wholly inside the margin
        (0.0, 0.02, "undecided"),
        (0.03, 0.04, "undecided"),
    ],
)
def test_by_hand(mean, half, word):
    judged = verdict(spread(mean, half), M)
    assert judged.word == word
    assert judged.mean == pytest.approx(mean, abs=1e-12)
    assert (judged.low, judged.high) == pytest.approx((mean - half, mean + half))
    assert judged.n == 5
    assert judged.text.startswith(word.replace(" m", " 0.01"))
    assert "\n" not in judged.text


def test_the_narrower_interval_decides_on_the_margin():
    # The 95 % interval reaches beyond the margin, the 90 % interval does not: still no difference.
    judged = verdict(spread(0.0, 1.1 * M), M)
    assert judged.high > M
    assert judged.word == "no difference"


def test_lower_can_be_better():
    losses = spread(-0.03, 0.01)
    assert verdict(losses, M, higher_is_better=False).word == "better"
    assert verdict(losses, M).word == "worse"
    assert verdict(spread(-0.004, 0.003), M, higher_is_better=False).word == "better by less than m"


def test_fewer_than_five_pairs_are_undecided_with_the_reason():
    for n in range(FEWEST):
        judged = verdict([0.5 + 1e-6 * i for i in range(n)], M)
        assert judged.word == "undecided"
        assert "needs 5 paired seeds" in judged.text
        assert judged.n == n
        assert (judged.low is None) == (n < 2)
        assert (judged.mean is None) == (n == 0)
    assert verdict([0.5 + 1e-6 * i for i in range(5)], M).word == "better"


def test_equal_differences():
    assert verdict([0.0] * 5, M).word == "no difference"
    assert verdict([0.005] * 5, M).word == "better by less than m"
    assert verdict([0.5] * 5, M).word == "better"
    assert verdict([0.0] * 5, 0.0).word == "undecided"  # nothing lies inside a margin of nothing


@pytest.mark.parametrize("n", range(5, 45))
def test_after_a_look_only_the_agreed_sizes_are_judged(n):
    judged = verdict(spread(0.5, 0.01, n), M, looks=4)
    assert judged.word == ("better" if n in (5, 10, 20, 40) else "undecided")
    assert judged.level == 0.9875
    if n not in LOOKS:
        assert f"not {n}" in judged.text
    assert verdict(spread(0.5, 0.01, n), M).word == "better"


def test_each_of_four_looks_has_a_quarter_of_the_error():
    barely = spread(0.03, 0.029, 10)  # beyond 0 at 95 %, not at 98.75 %
    assert verdict(barely, M).word == "better"
    assert verdict(barely, M, looks=4).word == "undecided"
    tight = spread(0.0, 1.1 * M, 10)  # inside the margin at 90 %, not at 97.5 %
    assert verdict(tight, M).word == "no difference"
    assert verdict(tight, M, looks=4).word == "undecided"


@pytest.mark.parametrize(
    ("differences", "margin", "looks"),
    [([1, math.nan, 1, 1, 1], M, 1), ([[1] * 5], M, 1), ([1] * 5, -M, 1), ([1] * 5, math.inf, 1), ([1] * 5, M, 2)],
)
def test_what_cannot_be_judged(differences, margin, looks):
    with pytest.raises(ValueError, match=r"differences|margin|looks"):
        verdict(differences, margin, looks=looks)


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-0.05, 0.05).map(lambda v: round(v, 4)), min_size=5, max_size=20).filter(
        lambda v: np.std(v) > 1e-4
    )
)
def test_against_statsmodels_and_scipy(values):
    differs = scipy.stats.ttest_1samp(values, 0).pvalue <= 0.05
    equivalent = statsmodels.stats.weightstats.DescrStatsW(values).ttost_mean(-M, M)[0] < 0.05
    side = "better" if np.mean(values) > 0 else "worse"
    if equivalent:
        expected = f"{side} by less than m" if differs else "no difference"
    else:
        expected = side if differs else "undecided"
    assert verdict(values, M).word == expected


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.floats(-0.1, 0.1), min_size=5, max_size=20))
def test_swapping_the_arms_swaps_the_word(values):
    mirrored = {"better": "worse", "better by less than m": "worse by less than m"}
    mirrored |= {worse: better for better, worse in mirrored.items()}
    word = verdict(values, M).word
    swapped = verdict([-value for value in values], M).word
    assert swapped == mirrored.get(word, word)


def equivalence_power(n: int) -> float:
    """P(the 90 % interval lies inside +-m) at a true mean of 0 and a standard deviation of m, integrated over the
    sample variance: its square is chi-square, and the mean is independent of it."""
    quantile = scipy.stats.t.ppf(0.95, n - 1)

    def inside(chi2: float) -> float:
        room = math.sqrt(n) - quantile * math.sqrt(chi2 / (n - 1))
        return max(0.0, 2 * scipy.stats.norm.cdf(room) - 1) * scipy.stats.chi2.pdf(chi2, n - 1)

    return scipy.integrate.quad(inside, 0, (n - 1) * n / quantile**2)[0]


@pytest.mark.parametrize(("n", "stated"), [(5, 0.29), (10, 0.79), (20, 0.99)])
def test_power_of_the_equivalence_test(n, stated):
    # 4,000 runs: the check fails for 1 in 1,000 seeds of a correct verdict (3.29 standard errors).
    power = equivalence_power(n)
    assert power == pytest.approx(stated, abs=0.006)
    runs = np.random.default_rng(n).normal(0, M, (4000, n))
    inside = np.mean([verdict(run, M).word in EQUIVALENT for run in runs])
    assert abs(inside - power) < 3.29 * math.sqrt(power * (1 - power) / len(runs))


EQUIVALENT = ("no difference", "better by less than m", "worse by less than m")


def share_of_false_verdicts(looks: int) -> float:
    """Runs without a difference that are called better or worse at one of the looks at 5, 10, 20 and 40 seeds."""
    runs = np.random.default_rng(0).normal(0, 1, (1500, LOOKS[-1]))
    wrong = [any(verdict(run[:n], 1e-9, looks=looks).word in ("better", "worse") for n in LOOKS) for run in runs]
    return float(np.mean(wrong))


def test_looking_again_and_again_costs_what_looks_pays_for():
    # A true rate of 0.05 is exceeded by 3.29 standard errors (0.0185) for 1 in 2,000 seeds.
    assert share_of_false_verdicts(looks=4) < 0.05 + 3.29 * math.sqrt(0.05 * 0.95 / 1500)
    assert 0.10 < share_of_false_verdicts(looks=1) < 0.25  # peeking, which the rule forbids
