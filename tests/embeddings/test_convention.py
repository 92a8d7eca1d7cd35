from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.embeddings.convention import deviations, inverted_share, l1_factor, l2_factor, share
from labkit.errors import BadInput
from labkit.privacy import spent

DELTA = 1e-5
fractions = st.floats(1e-3, 1 - 1e-3)


def inverted_multipliers(f: float) -> tuple[float, float]:
    """The map's and the gradient's noise multipliers over sigma where f / (1 - f) is the ratio of the two noises."""
    r = f / (1 - f)
    return math.sqrt(1 + r * r), math.sqrt(1 + r * r) / r


def test_by_hand():
    assert deviations(2, 0.25, 3, 5) == (12, 10 / math.sqrt(0.75))
    assert share(0.1) == 0.1
    assert inverted_share(0.1) == pytest.approx(0.81 / 0.82)
    assert (l2_factor(16, 1), l1_factor(16, 1)) == (0.25, 0.0625)
    assert (l2_factor(4, 2), l1_factor(4, 2)) == (1, 0.5)
    assert l2_factor(0, 1) == l1_factor(0, 1) == 1  # an example without rows has nothing to clip


@pytest.mark.parametrize(
    ("f", "on_map", "on_gradient", "spent_on_map"),
    [
        (0.01, 1.0001, 99.0, 0.9999),
        (0.1, 1.006, 9.06, 0.988),
        (0.5, 1.414, 1.414, 0.5),
        (0.9, 9.06, 1.006, 0.012),
        (0.99, 99.0, 1.0001, 0.0001),
    ],
)
def test_the_other_convention_spends_the_rest(f, on_map, on_gradient, spent_on_map):
    assert inverted_multipliers(f) == pytest.approx((on_map, on_gradient), rel=1e-3)
    assert inverted_share(f) == pytest.approx(spent_on_map, rel=0.03)
    # Ours, told to spend that share, adds the same two noises: one number, two meanings.
    assert deviations(1, inverted_share(f), 1, 1) == pytest.approx(inverted_multipliers(f), rel=1e-12)


def test_the_inverted_fraction_costs_nine_times_the_noise():
    ours, inverted = deviations(1, 0.1, 1, 1)[1], deviations(1, inverted_share(0.1), 1, 1)[1]
    assert inverted == pytest.approx(9.06, abs=0.01)
    assert inverted / ours == pytest.approx(8.59, abs=0.01)


@settings(max_examples=50, deadline=None)
@given(f=fractions, sigma=st.floats(0.1, 50), map_clip=st.floats(0.01, 100), clip=st.floats(0.01, 100))
def test_the_two_noises_are_one_of_the_plans_sigma(f, sigma, map_clip, clip):
    on_map, on_gradient = deviations(sigma, f, map_clip, clip)
    assert (on_map / map_clip) ** -2 + (on_gradient / clip) ** -2 == pytest.approx(sigma**-2, rel=1e-12)
    assert (on_map / map_clip) ** -2 * sigma**2 == pytest.approx(share(f), rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(f=fractions)
def test_the_other_convention_is_as_private_and_turned_round(f):
    first, second = inverted_multipliers(f)
    assert first**-2 + second**-2 == pytest.approx(1, rel=1e-9)
    assert first**-2 == pytest.approx(inverted_share(f), rel=1e-9)
    assert inverted_share(f) + inverted_share(1 - f) == pytest.approx(1)
    assert (inverted_share(f) > 0.5) == (f < 0.5) or f == 0.5


@pytest.mark.parametrize("f", [0.1, 0.5, 0.9])
def test_without_sampling_two_gaussians_are_the_one(f):
    on_map, on_gradient = deviations(1.3, f, 1, 1)
    both = spent([GaussianDpEvent(on_map), GaussianDpEvent(on_gradient)], DELTA).epsilon
    assert both == pytest.approx(spent(GaussianDpEvent(1.3), DELTA).epsilon, rel=1e-3)


def test_map_and_gradient_share_a_draw_so_they_are_one_event():
    def sampled(sigma: float) -> SelfComposedDpEvent:
        return SelfComposedDpEvent(PoissonSampledDpEvent(0.01, GaussianDpEvent(sigma)), 1000)

    one = spent(sampled(1.0), DELTA).epsilon
    two = spent([sampled(sigma) for sigma in deviations(1, 0.1, 1, 1)], DELTA).epsilon
    assert one == pytest.approx(1.83, abs=0.005)
    assert two == pytest.approx(1.69, abs=0.005)  # as if the two were drawn apart: less than it costs


@settings(max_examples=50, deadline=None)
@given(distinct=st.integers(1, 500), map_clip=st.floats(0.05, 40))
def test_a_clipped_map_keeps_its_norm(distinct, map_clip):
    ones = np.ones(distinct)
    assert np.linalg.norm(ones * l2_factor(distinct, map_clip)) <= map_clip * (1 + 1e-12)
    assert np.abs(ones * l1_factor(distinct, map_clip)).sum() <= map_clip * (1 + 1e-12)
    assert l1_factor(distinct, map_clip) <= l2_factor(distinct, map_clip) <= 1
    if distinct >= map_clip**2:
        assert np.linalg.norm(ones * l2_factor(distinct, map_clip)) == pytest.approx(map_clip)


@pytest.mark.parametrize("distinct", [1, 9, 32])
def test_the_l1_map_loses_the_root_of_the_rows(distinct):
    assert l2_factor(distinct, 1) / l1_factor(distinct, 1) == pytest.approx(math.sqrt(distinct))


@pytest.mark.parametrize("f", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_fraction_that_starves_one_noise_is_refused(f):
    for function in (share, inverted_share, lambda f: deviations(1, f, 1, 1)):
        with pytest.raises(BadInput, match="selection_fraction"):
            function(f)
