from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.embeddings.frequency import (
    choices,
    clipped_counts,
    counts,
    epsilon0_for_share,
    gumbel,
    histogram,
    noise_for_share,
    public,
    top_rows,
)
from labkit.errors import BadInput
from labkit.privacy import Plan, spent
from labkit.privacy.events import ExponentialMechanismDpEvent

DELTA = 1e-6


def column(*frequencies: int) -> np.ndarray:
    """One column of ids in which row j occurs frequencies[j] times."""
    return np.repeat(np.arange(len(frequencies)), frequencies)[:, None]


def zipf(examples: int, sizes: tuple[int, ...], exponent: float, seed: int) -> np.ndarray:
    """Joint rows whose column's rows are the rarer the larger their shuffled rank."""
    rng, start, made = np.random.default_rng(seed), 0, []
    for size in sizes:
        weights = np.arange(1, size + 1) ** -exponent
        made.append(start + rng.permutation(size)[rng.choice(size, examples, p=weights / weights.sum())])
        start += size
    return np.stack(made, 1)


def test_by_hand():
    ids = np.array([[0, 3], [2, 3], [2, 5], [-1, 5], [2, -1]])
    assert counts(ids, (3, 3)).tolist() == [1, 0, 3, 2, 0, 2]
    assert public(ids, (3, 3), 1).rows.tolist() == [2, 3]  # rows 3 and 5 tie: the smaller number
    assert public(ids, (3, 3), 2).rows.tolist() == [0, 2, 3, 5]
    assert public(ids, (3, 3), 2).events == ()
    assert public(ids[:, :1], (3,), 3).rows.tolist() == [0, 1, 2]


def test_a_unit_counts_once_for_a_row():
    bag = np.array([[4, 4, 1, 4], [4, -1, -1, 4]])
    assert counts(bag, (5,)).tolist() == [0, 1, 0, 0, 2]
    assert clipped_counts(bag, (5,), 4).tolist() == [0, 1, 0, 0, 2]
    # The first unit touches two rows: clipped to norm 1 it adds 1 / sqrt(2) to each.
    assert clipped_counts(bag, (5,), 1) == pytest.approx([0, math.sqrt(0.5), 0, 0, 1 + math.sqrt(0.5)])


tables = st.tuples(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 30), st.integers(0, 10**6))


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 6))
def test_against_a_loop(table, distinct):
    sizes, units, seed = table
    rng = np.random.default_rng(seed)
    ids = rng.integers(-1, sum(sizes), (units, 5))
    whole, clipped = [0] * sum(sizes), [0.0] * sum(sizes)
    for unit in ids:
        rows = {int(row) for row in unit if row >= 0}
        for row in rows:
            whole[row] += 1
            clipped[row] += min(1.0, math.sqrt(distinct / len(rows)))
    assert counts(ids, sizes).tolist() == whole
    assert counts(ids, sizes).dtype == np.int64
    assert clipped_counts(ids, sizes, distinct) == pytest.approx(clipped)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 6))
def test_the_best_of_each_column(table, k):
    sizes, _, seed = table
    k = min(k, max(sizes))
    scores = np.random.default_rng(seed).integers(0, 4, sum(sizes)).astype(float)
    expected, start = [], 0
    for size in sizes:
        ranked = sorted(range(start, start + size), key=lambda row: (-scores[row], row))
        expected += sorted(ranked[:k])
        start += size
    rows = top_rows(scores, sizes, k)
    assert rows.tolist() == expected
    assert rows.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), places=st.integers(1, 12), distinct=st.integers(1, 12))
def test_no_unit_moves_the_histogram_further_than_the_noise_supposes(seed, places, distinct):
    ids = np.random.default_rng(seed).integers(-1, 9, (7, places))
    moved = clipped_counts(ids, (9,), distinct) - clipped_counts(ids[1:], (9,), distinct)
    assert np.linalg.norm(moved) <= math.sqrt(distinct) * (1 + 1e-12)
    # Each count moves upwards and by at most 1: what one choice of the Gumbel way supposes.
    whole = counts(ids, (9,)) - counts(ids[1:], (9,))
    assert set(whole.tolist()) <= {0, 1}


@pytest.mark.parametrize(("places", "distinct", "deviation"), [(1, None, 6.0), (4, None, 12.0), (4, 2, 6 * 2**0.5)])
def test_the_histograms_noise(places, distinct, deviation):
    # Two rows 5 apart: the larger wins with probability Phi(5 / (sqrt(2) deviation)). A correct program fails for 1 in
    # 1,000 seeds, each.
    ids = np.full((25, places), -1)
    ids[:, :1] = column(15, 10)
    won = sum(histogram(ids, (2,), 1, 6.0, key, distinct).rows[0] == 0 for key in range(3000))
    assert stats.binomtest(won, 3000, stats.norm.cdf(5 / (2**0.5 * deviation))).pvalue > 1e-3


def test_gumbel_is_peeling():
    # Sets of two of five rows, against exponential mechanisms one after the other. A correct program fails for 1 in
    # 1,000 seeds.
    epsilon0, frequencies = 0.4, (5, 3, 2, 0, 4)
    weight = np.exp(epsilon0 * np.array(frequencies))
    expected = dict.fromkeys(itertools.combinations(range(5), 2), 0.0)
    for first, second in itertools.permutations(range(5), 2):
        chance = weight[first] / weight.sum() * weight[second] / (weight.sum() - weight[first])
        expected[min(first, second), max(first, second)] += chance
    ids = column(*frequencies)
    drawn = [tuple(gumbel(ids, (5,), 2, epsilon0, key).rows.tolist()) for key in range(4000)]
    observed = [drawn.count(pair) for pair in expected]
    assert stats.chisquare(observed, 4000 * np.array(list(expected.values()))).pvalue > 1e-3


def test_what_is_charged():
    ids = zipf(50, (4, 9, 2), 1.0, 0)
    assert histogram(ids, (4, 9, 2), 3, 2.5, 0).events == (GaussianDpEvent(2.5),)
    # The column of two rows is kept whole, which tells nobody anything.
    assert choices((4, 9, 2), 3) == 6
    chosen = SelfComposedDpEvent(ExponentialMechanismDpEvent(0.1), 6)
    assert gumbel(ids, (4, 9, 2), 3, 0.1, 0).events == (chosen,)
    assert gumbel(ids, (4, 9, 2), 9, 0.1, 0).events == ()


@pytest.mark.parametrize(("epsilon", "share"), [(1.0, 0.1), (8.0, 0.02)])
def test_a_share_of_epsilon(epsilon, share):
    gaussian = GaussianDpEvent(noise_for_share(epsilon, DELTA, share))
    for number in (3, 4000):
        chosen = SelfComposedDpEvent(
            ExponentialMechanismDpEvent(epsilon0_for_share(epsilon, DELTA, share, number)), number
        )
        assert epsilon * share * 0.998 <= spent(chosen, DELTA).epsilon <= epsilon * share
    assert epsilon * share * 0.998 <= spent(gaussian, DELTA).epsilon <= epsilon * share
    # At most number epsilon0, and by zero-concentration far less: 4,000 choices are not worth 4,000 times one.
    assert epsilon0_for_share(epsilon, DELTA, share, 4000) > 3 * epsilon * share / 4000


def test_a_plan_pays_for_the_counting():
    setting = {"epsilon": 3.0, "examples": 20_000, "batch_size": 500, "steps": 200, "clip_norm": 1.0, "delta": DELTA}
    free = Plan.calibrated(**setting)
    also = [GaussianDpEvent(noise_for_share(3.0, DELTA, 0.3))]
    chosen = [SelfComposedDpEvent(ExponentialMechanismDpEvent(epsilon0_for_share(3.0, DELTA, 0.3, 900)), 900)]
    for events in (also, chosen):
        plan = Plan.calibrated(**setting, also=events)
        assert plan.noise_multiplier > free.noise_multiplier
        assert plan.epsilon <= 3.0
        assert Plan.noised(
            **{name: value for name, value in setting.items() if name != "epsilon"},
            noise_multiplier=plan.noise_multiplier,
            also=events,
        ).epsilon == pytest.approx(plan.epsilon)


def test_the_histogram_finds_more_at_equal_cost():
    sizes, k = (2000, 800, 1200), 100
    ids = zipf(20_000, sizes, 1.1, 3)
    best = set(public(ids, sizes, k).rows.tolist())
    sigma = noise_for_share(1.0, DELTA, 0.1)
    epsilon0 = epsilon0_for_share(1.0, DELTA, 0.1, choices(sizes, k))
    by_histogram = len(best & set(histogram(ids, sizes, k, sigma, 1).rows.tolist()))
    by_gumbel = len(best & set(gumbel(ids, sizes, k, epsilon0, 1).rows.tolist()))
    assert spent(gumbel(ids, sizes, k, epsilon0, 1).events, DELTA).epsilon == pytest.approx(0.1, rel=2e-3)
    assert spent(histogram(ids, sizes, k, sigma, 1).events, DELTA).epsilon == pytest.approx(0.1, rel=2e-3)
    assert by_histogram > 2 * by_gumbel


def test_the_key_alone_decides():
    ids = zipf(200, (60, 40), 0.5, 1)
    for way in (lambda key: histogram(ids, (60, 40), 9, 20.0, key), lambda key: gumbel(ids, (60, 40), 9, 0.01, key)):
        assert way(7).rows.tolist() == way(7).rows.tolist()
        assert way(7).rows.tolist() != way(8).rows.tolist()


def test_without_a_key_shorter_than_the_noise_deserves():
    # Keys that differ beyond their lowest 32 bits are different keys.
    ids = zipf(200, (60, 40), 0.5, 1)
    assert (
        histogram(ids, (60, 40), 9, 20.0, 7).rows.tolist()
        != histogram(ids, (60, 40), 9, 20.0, 7 + (1 << 40)).rows.tolist()
    )


def test_bad_input_is_named():
    ids = column(3, 2, 1)
    for k in (0, 4, -1):
        for way in (public, lambda *a: histogram(*a, 1.0, 0), lambda *a: gumbel(*a, 1.0, 0)):
            with pytest.raises(BadInput, match=r"k = .*1 to 3"):
                way(ids, (3,), k)
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BadInput, match="noise_multiplier"):
            histogram(ids, (3,), 1, bad, 0)
        with pytest.raises(BadInput, match="epsilon0"):
            gumbel(ids, (3,), 1, bad, 0)
    with pytest.raises(BadInput, match="distinct"):
        clipped_counts(ids, (3,), 0)
    with pytest.raises(BadInput, match="share"):
        noise_for_share(1.0, DELTA, 1.0)
    with pytest.raises(BadInput, match="share"):
        epsilon0_for_share(1.0, DELTA, 0.0, 4)
    with pytest.raises(BadInput, match="k = "):
        epsilon0_for_share(1.0, DELTA, 0.1, 0)
