from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from labkit.stats import expected_best


def test_by_hand():
    assert expected_best(1) == pytest.approx(0, abs=1e-9)
    assert expected_best(2) == pytest.approx(1 / math.sqrt(math.pi), abs=1e-6)
    assert expected_best(3) == pytest.approx(1.5 / math.sqrt(math.pi), abs=1e-6)


@pytest.mark.parametrize(("k", "stated"), [(100, 2.51), (1000, 3.24)])
def test_the_stated_figures(k, stated):
    assert round(expected_best(k), 2) == stated


@pytest.mark.parametrize("k", [5, 64, 1000])
def test_against_the_density_of_the_maximum(k):
    def weighted(x: float) -> float:
        return x * k * stats.norm.pdf(x) * stats.norm.cdf(x) ** (k - 1)

    assert expected_best(k) == pytest.approx(integrate.quad(weighted, -8, 8)[0], abs=1e-6)


def test_against_drawn_maxima():
    # 20,000 maxima of 100; their standard deviation is 0.43: fails for 1 in 1,000 seeds.
    drawn = np.random.default_rng(0).normal(size=(20_000, 100)).max(axis=1)
    assert abs(drawn.mean() - expected_best(100)) < 3.29 * 0.43 / math.sqrt(20_000)


def test_it_grows_with_every_draw():
    values = [expected_best(k) for k in (1, 2, 10, 100, 10**5, 10**9)]
    assert values == sorted(values)
    assert values[-1] < 7


def test_no_draw_has_no_best():
    with pytest.raises(ValueError, match="0 draws"):
        expected_best(0)
