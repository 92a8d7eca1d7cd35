"""Rows that noise alone lets through, drawn without a number for each row, against a coin for each row."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_unit import law_of_coins, patterns, pooled
from scipy import stats

from labkit.embeddings.false_survivors import AT_ONCE, false_survivors
from labkit.embeddings.survivors import tail


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(rows: int, chance: float, times: int, seed: int = 0) -> np.ndarray:
    """bool [times, rows]."""
    source, sets = generator(seed), np.zeros((times, rows), dtype=bool)
    for one in sets:
        one[false_survivors(rows, chance, source)] = True
    return sets


def test_by_hand():
    class Gaps:
        def geometric(self, chance, size):
            return np.array([1, 3, 1, 9, 1, 1])

    # From place -1: rows 0, 3, 4, and 13, which is beyond the tenth.
    assert false_survivors(10, 0.5, Gaps()).tolist() == [0, 3, 4]
    # The same gaps two at a time.
    parts = iter([[1, 3], [1, 9], [1, 1]])
    assert false_survivors(10, 0.5, SimpleNamespace(geometric=lambda *_: np.array(next(parts)))).tolist() == [0, 3, 4]


@pytest.mark.parametrize("rows", [0, 1, 7, 100_000])
def test_nobody_and_everybody(rows):
    assert false_survivors(rows, 0.0, generator(0)).tolist() == []
    assert false_survivors(rows, 1.0, generator(0)).tolist() == list(range(rows))
    assert false_survivors(rows, tail(60.0), generator(0)).dtype == np.int64
    assert len(false_survivors(rows, tail(60.0), generator(0))) == 0
    assert len(false_survivors(rows, tail(-60.0), generator(0))) == rows


@pytest.mark.parametrize("chance", [0.5, 0.06, tail(2.0)])
def test_every_set_of_rows_is_as_likely_as_with_a_coin_each(chance):
    # A correct program fails for 1 in 1,000 seeds, each.
    times = 6000
    observed, expected = pooled(patterns(drawn(8, chance, times)), times * law_of_coins(np.full(8, chance)))
    assert len(expected) > 8
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("threshold", [0.0, 2.0, 3.5])
def test_as_many_survive_as_when_every_row_is_noised(threshold):
    # Against the dense procedure, two samples. A correct program fails for 1 in 1,000 seeds, each.
    rows, times, source = 400, 3000, generator(1)
    dense = np.concatenate([(source.standard_normal((500, rows)) >= threshold).sum(1) for _ in range(times // 500)])
    sparse = drawn(rows, tail(threshold), times, seed=2).sum(1)
    edges = np.unique([0, 1, 2, *np.quantile(np.concatenate([dense, sparse]), np.linspace(0.1, 0.9, 9)), rows + 1])
    table = np.stack([np.histogram(one, edges)[0] for one in (dense, sparse)])
    table = table[:, table.sum(0) > 0]
    assert table.shape[1] >= 2
    assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("chance", [0.3, 1e-3])
def test_the_number_is_binomial_and_the_places_uniform(chance):
    # A correct program fails for 2 in 1,000 seeds, each.
    rows, times = 5000, 800
    source = generator(3)
    sets = [false_survivors(rows, chance, source) for _ in range(times)]
    sizes = np.array([len(one) for one in sets])
    cuts = np.unique(stats.binom.ppf(np.linspace(0.1, 0.9, 9), rows, chance))
    observed = np.bincount(np.searchsorted(cuts, sizes), minlength=len(cuts) + 1)
    expected = times * np.diff([0.0, *stats.binom.cdf(cuts, rows, chance), 1.0])
    assert stats.chisquare(*pooled(observed, expected)).pvalue > 1e-3
    places = np.histogram(np.concatenate(sets), 20, (0, rows))[0]
    assert stats.chisquare(places).pvalue > 1e-3


@pytest.mark.parametrize("chance", [0.9, 0.5])
def test_many_survivors_come_in_several_parts(chance):
    # A correct program fails for 1 in 10,000 seeds, each.
    rows = 3 * AT_ONCE
    found = false_survivors(rows, chance, generator(4))
    assert len(found) > AT_ONCE
    assert stats.binomtest(len(found), rows, chance).pvalue > 1e-4
    # Gaps across a seam are gaps as elsewhere.
    gaps = np.bincount(np.diff(found))[1:3]
    assert gaps[0] / (len(found) - 1) == pytest.approx(chance, abs=5 * math.sqrt(chance * (1 - chance) / len(found)))


@settings(max_examples=80, deadline=None)
@given(rows=st.integers(0, 10**6), chance=st.floats(0, 0.02), seed=st.integers(0, 10**6))
def test_rows_rise_within_the_tables(rows, chance, seed):
    found = false_survivors(rows, chance, generator(seed))
    assert found.dtype == np.int64
    assert (np.diff(found) > 0).all()
    assert len(found) == 0 or (found[0] >= 0 and found[-1] < rows)


def test_a_chance_next_to_nothing_costs_next_to_nothing():
    # A gap of 2^63 would overflow the sum.
    source = generator(5)
    assert sum(len(false_survivors(10**8, 1e-19, source)) for _ in range(200)) == 0
    assert sum(len(false_survivors(10**9, 1e-9, source)) for _ in range(100)) in range(60, 145)  # 100 on average


def test_the_generator_alone_decides():
    one, again, other = (false_survivors(5000, 0.1, generator(s)).tolist() for s in (1, 1, 2))
    assert one == again != other
