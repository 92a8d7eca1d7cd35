from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from labkit.embeddings.survivors import expected_false, padded_false, tail, threshold_of, warn_survivors
from labkit.errors import BadInput


def test_by_hand():
    assert tail(0) == 0.5
    assert tail(-math.inf) == 1.0
    assert tail(math.inf) == 0.0
    assert tail(1.2815515655446004) == pytest.approx(0.1, rel=1e-14)
    # sigma 1, tau 5, f .1, a million rows: 5 sqrt(.1) = 1.58 deviations
    assert threshold_of(5, 1, 1, 0.1) == pytest.approx(1.5811388)
    assert expected_false(10**6, 0, threshold_of(5, 1, 1, 0.1)) == pytest.approx(57_000, rel=2e-3)
    assert expected_false(100, 40, 0) == 30
    # Twice the noise or twice the clip norm halve it, four times the fraction doubles it.
    assert threshold_of(5, 2, 1, 0.1) == threshold_of(5, 1, 2, 0.1) == threshold_of(5, 1, 1, 0.1) / 2
    assert threshold_of(5, 1, 1, 0.4) == pytest.approx(2 * threshold_of(5, 1, 1, 0.1))


@pytest.mark.parametrize(
    ("deviation", "tau", "survive"), [(5, 10, 2.3e4), (5, 20, 32), (10, 50, 0.29), (20, 50, 6.2e3), (20, 100, 0.29)]
)
def test_a_threshold_in_counts(deviation, tau, survive):
    assert expected_false(10**6, 0, tau / deviation) == pytest.approx(survive, rel=0.02)


@pytest.mark.parametrize("threshold", [-3.0, -0.4, 0.7, 2.5, 6.0, 9.0])
def test_the_tail_against_an_integral(threshold):
    density = integrate.quad(
        lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi), threshold, threshold + 12, epsabs=0
    )
    above = density[0] + stats.norm.sf(threshold + 12)
    assert tail(threshold) == pytest.approx(above, rel=1e-8, abs=0)


def test_float64_is_kept_far_out():
    # 10^8 rows at 8 deviations: 1 - Phi(8) is 7 % off in float64 and 0 in float32.
    assert tail(8) == pytest.approx(6.220960574271784e-16, rel=1e-12, abs=0)
    assert isinstance(tail(8), float)


def test_noising_every_row_lets_as_many_through():
    # Mean of 400 dense passes over 5,000 rows: a correct program fails for 1 in 10,000 seeds.
    rng, rows, threshold = np.random.default_rng(5), 5000, 2.0
    found = (rng.standard_normal((400, rows)) >= threshold).sum(1)
    expected = expected_false(rows, 0, threshold)
    error = math.sqrt(rows * tail(threshold) * (1 - tail(threshold)) / 400)
    assert abs(found.mean() - expected) < stats.norm.isf(0.5e-4) * error
    assert found.max() <= padded_false(rows, threshold)


def exact_tail(places: int, rows: int, p: Fraction) -> Fraction:
    return sum(math.comb(rows, j) * p**j * (1 - p) ** (rows - j) for j in range(places + 1, rows + 1))


@pytest.mark.parametrize(("rows", "threshold"), [(10, 3.0), (60, 2.0), (60, 4.0), (5, 9.0), (40, 0.1)])
def test_places_against_exact_sums(rows, threshold):
    p, places = Fraction(tail(threshold)), padded_false(rows, threshold)
    assert exact_tail(places, rows, p) <= Fraction(1e-20)
    assert exact_tail(places - 1, rows, p) > Fraction(1e-20)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 10**9), threshold=st.floats(0.05, 12), chance=st.sampled_from([1e-3, 1e-20, 1e-40]))
def test_places_are_the_fewest_that_do(rows, threshold, chance):
    p, places = tail(threshold), padded_false(rows, threshold, chance)
    assert stats.binom.sf(places, rows, p) <= chance
    assert places == 0 or stats.binom.sf(places - 1, rows, p) > chance
    assert places <= rows


def test_places_at_the_ends():
    assert padded_false(10**8, 60.0) == 0  # Q is 0 in float64
    assert padded_false(10**8, -60.0) == padded_false(10**8, 0.0) == 10**8
    assert padded_false(0, 1.0) == 0
    assert 29 < padded_false(10**8, 5.0) < 150  # 28.7 on average
    assert 57_000 < padded_false(10**6, threshold_of(5, 1, 1, 0.1)) < 60_000


def test_a_warning_gives_the_expected_numbers():
    assert warn_survivors(10**6, 3.0) is None  # 1,350
    assert "0.099 of 100,000,000" in warn_survivors(10**8, 6.0)
    assert "841,345 of 1,000,000" in warn_survivors(10**6, -1.0)
    assert warn_survivors(10, 0.5) is None  # 3.1
    assert warn_survivors(10**8, 6.0, lift=2.1) is None  # noise may add the rest
    assert "raised by 1.9 standard deviations" in warn_survivors(10**8, 6.0, lift=1.9)
    assert "841,345 of 1,000,000" in warn_survivors(10**6, -1.0, lift=1.9)
    for sentence in (warn_survivors(10**8, 6.0), warn_survivors(10**6, -1.0), warn_survivors(10**8, 6.0, 1.9)):
        assert "\n" not in sentence


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="touched"):
        expected_false(10, 11, 0)
    with pytest.raises(BadInput, match="touched"):
        expected_false(10, -1, 0)
    with pytest.raises(BadInput, match="threshold"):
        tail(math.nan)
    with pytest.raises(BadInput, match="rows"):
        padded_false(-1, 0)
    with pytest.raises(BadInput, match="chance"):
        padded_false(1, 0, 0.0)
