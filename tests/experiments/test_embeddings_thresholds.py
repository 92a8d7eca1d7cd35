"""Thresholds of notebook 04 that decide nothing: a training under one warns, and no other does."""

from __future__ import annotations

import warnings

import pytest
from small_embeddings import jobs, lab, told

from labkit.experiments.embeddings.lab import plans_of
from labkit.experiments.embeddings.start import warned

ADAPTIVE = ("adafest", "adafest_plus")


def said(method: str, threshold: float, map_norm: str = "l2", map_clip_norm: float = 1.0) -> list[str]:
    """What is warned of before a training of a method begins."""
    changes = {"threshold": f"{threshold:.12g}", "map_norm": map_norm, "map_clip_norm": map_clip_norm}
    some = lab(**changes, method=method)
    (place,) = (i for i, job in enumerate(some.jobs) if job.point.method == (method,))
    point = some.point(place)
    ground = some.ground(point)
    (plan,) = plans_of(point, [len(ground.stretches[0].units)])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warned(point, plan, ground)
    assert all(warning.category is UserWarning for warning in heard)
    return [str(warning.message) for warning in heard]


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize(
    ("threshold", "words"),
    [("-1", "337 of 400 rows through .*: most rows are noised"), ("1000", "at threshold 1000 no row survives")],
)
def test_a_training_whose_threshold_decides_nothing_warns(method, threshold, words):
    with pytest.warns(UserWarning, match=words) as heard:
        told(jobs(threshold=threshold, method=method))
    assert len(heard) == 1


@pytest.mark.parametrize("method", ["dpsgd", "fest", "lazydp"])
def test_a_method_without_a_threshold_never_warns(method):
    assert said(method, 1000) == said(method, -30) == []


@pytest.mark.parametrize("method", ADAPTIVE)
def test_half_of_the_rows_are_not_most(method):
    assert said(method, 0) == []
    assert len(said(method, -0.01)) == 1


@pytest.mark.parametrize(("map_norm", "clip"), [("l2", 1.0), ("l1", 1.0), ("l2", 0.5), ("l2", 100.0)])
def test_where_no_row_can_survive_by_hand(map_norm, clip):
    """A batch of 64 lifts a row that all of it touches by 64 contributions; noise adds four deviations at most."""
    some = lab(map_norm=map_norm)
    point = some.point(0)
    ground = some.ground(point)
    (plan,) = plans_of(point, [len(ground.stretches[0].units)])
    columns = len(ground.split.sizes)
    own = min(1, clip / (columns if map_norm == "l1" else columns**0.5))  # of a map of ones, clipped
    deviation = plan.noise_multiplier / 0.5**0.5 * clip  # half of 1 / sigma^2 is the map's
    highest = 64 * own / deviation + 4
    assert highest > 4.5
    assert said("adafest", highest - 0.01, map_norm, clip) == []
    (sentence,) = said("adafest", highest + 0.01, map_norm, clip)
    assert f"raised by {highest - 4:.3g} standard deviations" in sentence
