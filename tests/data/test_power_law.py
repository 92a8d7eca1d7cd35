from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from labkit.data.power_law import COLUMNS, column_sizes, draw, power_law
from labkit.data.table import check_ids, rows_of
from labkit.data.table_split import split_table
from labkit.data.tables import load_table
from labkit.errors import BadInput


def test_ids_by_hand():
    # Exponent 2 over 3 buckets: shares of 1 - 1/4 of x^-2 are 1/2, 1/6, 1/12 over 3/4, so the cuts are 2/3 and 8/9.
    ids = draw(np.array([0.0, 0.66, 0.67, 0.88, 0.89, 1 - 1e-12]), size=3, exponent=2.0)
    assert ids.tolist() == [0, 0, 1, 1, 2, 2]
    # Exponent 1 over 3 buckets: log 2, log 3/2, log 4/3 over log 4; the first cut is 1/2.
    assert draw(np.array([0.49, 0.51]), size=3, exponent=1.0).tolist() == [0, 1]


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.05, 1.1, 2.0])
def test_frequencies_follow_the_stated_law(exponent):
    # Chi-square over 20 buckets at the 0.1 % level: five fixed draws, of which a correct program fails one in 200 sets.
    size, n = 20, 40_000
    mass = np.array([integrate.quad(lambda x: x**-exponent, r, r + 1)[0] for r in range(1, size + 1)])
    ids = draw(np.random.default_rng(1).random(n), size, exponent)
    assert stats.chisquare(np.bincount(ids, minlength=size), n * mass / mass.sum()).pvalue > 0.001


@settings(max_examples=50, deadline=None)
@given(st.integers(52, 10**9))
def test_sizes_add_up_and_shrink(rows):
    sizes = column_sizes(rows)
    assert sum(sizes) == rows
    assert len(sizes) == COLUMNS
    assert min(sizes) >= 2
    assert sizes == sorted(sizes, reverse=True)


def test_the_default_says_that_it_is_synthetic():
    table = load_table("power-law")
    assert rows_of(table) == 100_000
    assert (len(table), table.ids.shape[1]) == (50_000, 26)
    assert "synthetic" in table.name
    assert table.synthetic.startswith("synthetic")
    assert "1.1" in table.synthetic
    assert split_table(table, 0).synthetic == table.synthetic
    assert table.public
    assert 0.3 < table.labels.mean() < 0.4
    check_ids(table)


def test_settings_in_the_name():
    table = load_table("power-law:rows=1000000,exponent=1.05,examples=1000,seed=3")
    assert (rows_of(table), len(table)) == (1_000_000, 1000)
    assert "1.05" in table.name
    again, other = power_law(1_000_000, 1.05, 1000, 3), power_law(1_000_000, 1.05, 1000, 4)
    np.testing.assert_array_equal(table.ids, again.ids)
    assert table.fingerprint == again.fingerprint != other.fingerprint


def test_labels_come_from_the_rows_weights():
    """The share of ones at a common row is its weight's doing: what two thirds say of it, the last third says too."""
    table = power_law(1000, 1.1, 30_000)
    common = np.flatnonzero(np.bincount(table.ids[:, 0]) > 900)
    early, late = np.arange(30_000) < 20_000, np.arange(30_000) >= 20_000
    rates = np.array(
        [[table.labels[half & (table.ids[:, 0] == row)].mean() for half in (early, late)] for row in common]
    )
    # Independent labels would correlate by less than 0.9 in all but far fewer than one seed in a thousand.
    assert len(common) >= 5
    assert np.corrcoef(rates.T)[0, 1] > 0.9


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("power-law:rows=51", "52 to 10,000,000,000 rows; not 51"),
        ("power-law:rows=1.5", "whole number of rows"),
        ("power-law:examples=99", "100 to 10,000,000 examples; not 99"),
        ("power-law:exponent=0", "exponent above 0"),
        ("power-law:exponent=5.5", "at most 5; not 5.5"),
        ("power-law:colour=3", "not 'colour=3'"),
        ("power-law:rows", "not 'rows'"),
        ("power-law:rows=-5", "not 'rows=-5'"),
        ("power-law:rows=1.2.3", "not 'rows=1.2.3'"),
        ("power-law:rows=1e999", "rows"),
    ],
)
def test_settings_that_cannot_be(name, line):
    with pytest.raises(BadInput, match=line) as caught:
        load_table(name)
    assert "\n" not in str(caught.value)


def test_a_large_vocabulary_costs_nothing():
    assert math.isclose(rows_of(load_table("power-law:rows=1e9,examples=1000")), 10**9)
