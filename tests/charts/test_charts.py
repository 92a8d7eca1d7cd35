"""Every chart, drawn from one real small run and from an empty store."""

import json
import math

import numpy as np
import pytest

from labkit import charts
from labkit.charts.accuracy import test_words as words_of_the_test_set
from labkit.charts.candidates import best_of_k
from labkit.charts.surfaces import contours, log_domain
from labkit.data import load, split
from labkit.experiments import get
from labkit.runs import Store, Worker
from labkit.runs.view import View
from labkit.stats import mean_interval

EXPERIMENT = get("01")
NAMES = sorted(EXPERIMENT.charts)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    spec = EXPERIMENT.spec.of(
        data="digits", width=24, steps=12, budget=8, sparsity="0.5,0.99", evaluations=3, seeds=5, landscape_size=3,
        device="cpu", batch_size=32,
    )  # fmt: skip
    for _ in Worker(EXPERIMENT, spec, store).run():
        pass
    return View(store, EXPERIMENT, spec, split(load("digits"), 0).fingerprint)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return View(Store(tmp_path_factory.mktemp("empty")), EXPERIMENT, EXPERIMENT.spec.of(device="cpu"), "0" * 64)


def inline(spec):
    if isinstance(spec, dict):
        own = spec.get("data", {}).get("values", []) if isinstance(spec.get("data"), dict) else []
        return list(own) + [row for value in spec.values() for row in inline(value)]
    return [row for item in spec for row in inline(item)] if isinstance(spec, list) else []


def texts(chart):
    return json.dumps(chart.to_dict())


def rows_of(chart):
    spec = chart.to_dict()
    return inline(spec) + [row for rows in spec.get("datasets", {}).values() for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_is_a_picture_and_holds_no_pandas_or_remote_data(view, name):
    chart = EXPERIMENT.charts[name](view)
    data = charts.png(chart, 1.0)
    assert data.startswith(b"\x89PNG")
    assert charts.still(chart, 1.0).size[0] < 900
    assert '"url"' not in texts(chart)


@pytest.mark.parametrize("name", NAMES)
def test_every_chart_draws_an_empty_store(empty, name):
    assert charts.png(EXPERIMENT.charts[name](empty), 1.0).startswith(b"\x89PNG")


def test_the_arms_means_and_bands_are_those_of_the_results(view):
    accuracies = [r["test_accuracy"] for r in view.results() if r["arm"] == "found"]
    drawn = [r for r in rows_of(charts.accuracy_by_sparsity(view)) if r.get("arm") == "found" and "mean" in r]
    low, high = mean_interval(accuracies)
    assert drawn[0]["mean"] == pytest.approx(np.mean(accuracies))
    assert (drawn[0]["low"], drawn[0]["high"]) == pytest.approx((low, high))
    assert drawn[0]["n"] == 5


def test_differences_are_paired_and_impossible_cells_are_shown(view):
    chart = charts.difference_by_sparsity(view)
    rows = {(r["seed"], r["arm"]): r["test_accuracy"] for r in view.results()}
    mean = np.mean([rows[s, "found"] - rows[s, "random"] for s in range(5)])
    drawn = [r for r in rows_of(chart) if r.get("pair") == "found - random"]
    assert drawn[0]["mean"] == pytest.approx(mean)
    assert drawn[0]["word"] in (
        "better",
        "worse",
        "no difference",
        "undecided",
        "better by less than m",
        "worse by less than m",
    )
    assert "none of its 24 nodes" in texts(chart)


def test_the_table_says_what_the_verdicts_say(view):
    made = charts.verdict_rows(view)
    assert [row["pair"] for row in made] == ["found - random", "found - dense", "random - dense"]
    assert {row["n"] for row in made} == {"5"}


def test_best_of_k_by_hand(view):
    """k = 1 is the first draw, k = 8 the found network, both minus the mean of all."""
    drawn = {r["k"]: r["mean"] for r in rows_of(best_of_k(view)) if "k" in r}
    by_arm = {(r["seed"], r["arm"]): r["test_accuracy"] for r in view.results()}
    for k, arm in ((1, "first"), (8, "found")):
        assert drawn[k] == pytest.approx(np.mean([by_arm[s, arm] - by_arm[s, "random"] for s in range(5)]))


def test_an_interval_of_rho_is_not_claimed_of_five_parents(view):
    title = texts(charts.loss_against_accuracy(view))
    assert "rho" in title
    assert "reliability" in title
    assert "[" not in title.split("rho ")[1][:6]


def test_contours_lie_where_the_surface_has_their_level():
    x = np.linspace(-1, 1, 41)
    loss = np.exp(x[None, :] ** 2 + x[:, None] ** 2)
    points = contours(loss, x, x, (1.0, math.e**2))
    assert points
    radii = [math.hypot(p["x"], p["y"]) for p in points]
    levels = [2 * (i + 1) / 9 for i in range(8)]
    assert max(min(abs(r * r - level) for level in levels) for r in radii) < 0.01


def test_a_logarithmic_range_spans_two_decades_at_most():
    assert log_domain([np.array([[1.0, 1e9]])]) == (1.0, 100.0)
    assert log_domain([np.array([[2.0, 3.0]]), np.array([[np.inf, 1.0]])]) == (1.0, 3.0)
    assert log_domain([]) == (0.1, 1.0)


def test_the_test_sets_own_standard_error_is_told():
    """privacy.md 25: 0.009 at 1,500 images."""
    rows = [{"test_accuracy": 0.85, "test_images": 1500}]
    assert "1,500 images has a standard error of 0.009" in words_of_the_test_set(rows)
