"""Charts of a View made by hand: what is drawn is what was put in, and one chart's panels share what they claim to."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from labkit import charts
from labkit.charts.by_sparsity import by_sparsity, sparsity_x
from labkit.charts.rows import band_words, kept, largest_budget, padded, percent, seeds_words, summarise
from labkit.charts.theme import arm_colour, in_order

AXIS = np.linspace(-1, 1, 5)


class HandMade:
    """A View that holds what it is given."""

    def __init__(
        self, results: list[dict] = (), series: dict[str, list[dict]] | None = None, arrays: dict | None = None
    ) -> None:
        self._results, self._series, self._arrays = list(results), series or {}, arrays or {}
        sparsities = tuple(dict.fromkeys(row["sparsity"] for row in self._results)) or (0.5,)
        self.spec = SimpleNamespace(sparsity=sparsities, budget=(4,), margin=0.01)
        self.spec.points = lambda: [point for point, _, _ in self.points]
        seeds = {row["seed"]: "finished" for row in self._results} or {0: "finished"}
        self.points = [
            (SimpleNamespace(sparsity=(s,), budget=(4,), margin=0.01), f"run-{s}", seeds) for s in sparsities
        ]

    def fields(self, point: Any) -> dict[str, Any]:
        return {"sparsity": point.sparsity[0], "budget": point.budget[0]}

    def results(self) -> list[dict]:
        return self._results

    def series(self, name: str) -> list[dict]:
        return self._series.get(name, [])

    def arrays(self, point: Any, seed: int, artifact: str) -> dict[str, np.ndarray]:
        return self._arrays[artifact]


def result(sparsity: float, seed: int, arm: str, accuracy: float, **rest: float) -> dict:
    return {"sparsity": sparsity, "budget": 4, "seed": seed, "arm": arm, "test_accuracy": accuracy} | rest


def everything(spec: Any, key: str) -> list[Any]:
    """All values of a key, anywhere in a specification."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + [f for v in spec.values() for f in everything(v, key)]
    return [f for v in spec for f in everything(v, key)] if isinstance(spec, list) else []


def drawn(chart: Any) -> list[dict]:
    spec = chart.to_dict()
    sets = list(spec.get("datasets", {}).values()) + [v for v in everything(spec, "values") if isinstance(v, list)]
    return [row for rows in sets for row in rows if isinstance(row, dict)]


def test_a_mean_and_its_interval_by_hand() -> None:
    rows = [result(0.5, seed, "found", value) for seed, value in enumerate([0.1, 0.2, 0.6])]
    rows += [result(0.9, 0, "found", 0.4)]
    many, one = summarise(rows, ("sparsity", "arm"), "test_accuracy")
    half = scipy.stats.t.ppf(0.975, 2) * np.std([0.1, 0.2, 0.6], ddof=1) / 3**0.5
    assert (many["mean"], many["n"]) == (pytest.approx(0.3), 3)
    assert (many["low"], many["high"]) == (pytest.approx(0.3 - half), pytest.approx(0.3 + half))
    assert one == {"sparsity": 0.9, "arm": "found", "mean": 0.4, "n": 1}  # one seed has no interval


def test_rows_without_the_value_are_left_out() -> None:
    assert summarise([{"arm": "found", "other": 1.0}], ("arm",), "test_accuracy") == []


def test_the_number_of_seeds_is_said_as_it_is() -> None:
    rows = [result(0.5, seed, "found", 0.1) for seed in range(3)]
    assert seeds_words([]) == "no finished run yet"
    assert seeds_words(rows[:1]) == band_words(rows[:1]) == "1 seed"
    assert seeds_words(rows) == "3 seeds"
    assert seeds_words([*rows, result(0.9, 0, "found", 0.1)]) == "1 to 3 seeds"
    assert "95 % t interval" in band_words(rows)


def test_of_several_budgets_the_largest_is_drawn_and_named() -> None:
    rows = [{"budget": 10, "seed": 0}, {"budget": 1000, "seed": 0}]
    assert largest_budget(rows) == ([rows[1]], "search budget 1,000 (the largest of the grid)")
    assert largest_budget(rows[:1]) == ([rows[0]], "search budget 10")
    assert largest_budget([{"seed": 0}]) == ([{"seed": 0}], "")


def test_shares_are_said_and_placed_exactly() -> None:
    assert [percent(s) for s in (0, 0.5, 0.995)] == ["0 %", "50 %", "99.5 %"]
    assert kept(0.9) == 0.1
    assert padded([]) == [0.0, 1.0]
    assert padded([0.0, 1.0, float("nan")], share=0.1) == [-0.1, 1.1]
    assert padded([2.0, 2.0]) == [pytest.approx(1.9), pytest.approx(2.1)]


def test_an_arm_keeps_its_colour_whichever_arms_are_there() -> None:
    def colours(arms: list[str]) -> dict[str, str]:
        scale = arm_colour(arms).to_dict()["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))

    every = colours(["dense", "first", "found", "random"])
    assert len(set(every.values())) == 4
    assert colours(["dense", "found"]) == {name: every[name] for name in ("found", "dense")}
    assert in_order(["zebra", "dense", "apple", "found"]) == ["found", "dense", "apple", "zebra"]


def test_at_many_sparsities_lines_and_at_few_a_dot_for_each_seed() -> None:
    many = [result(s, seed, "found", s + seed / 100) for s in (0.0, 0.5, 0.9, 0.99) for seed in range(3)]
    lines = by_sparsity(many, "test_accuracy", "share of nodes", "accuracy")
    means = {row["sparsity"]: row["mean"] for row in drawn(lines)}
    assert means == {s: pytest.approx(s + 0.01) for s in (0.0, 0.5, 0.9, 0.99)}
    few = by_sparsity(many[3:9], "test_accuracy", "share of nodes", "accuracy")
    seeds = {(row["sparsity"], row["seed"]): row["test_accuracy"] for row in drawn(few) if "seed" in row}
    assert seeds == {(s, seed): s + seed / 100 for s in (0.5, 0.9) for seed in range(3)}
    assert len({json.dumps(domain) for domain in everything(few.to_dict(), "domain") if len(domain) == 2}) == 1


def test_the_sparsity_axis_has_a_tick_at_every_value() -> None:
    x = sparsity_x([0.9, 0.0, 0.99], "share of nodes").to_dict()
    assert x["axis"]["values"] == [0.01, 0.1, 1.0]
    assert x["scale"]["domain"] == [0.01, 1.0]
    assert x["title"] == "sparsity: share of nodes"


def test_the_share_that_never_arrives_stands_beside_the_steps() -> None:
    rows = [
        result(0.5, seed, arm, 0.8, steps_to_threshold=100.0, censored=share)
        for arm, shares in {"found": (0.0, 1.0), "random": (0.25, 0.5)}.items()
        for seed, share in enumerate(shares)
    ]
    said = {row["arm"]: row["text"] for row in drawn(charts.steps_to_threshold(HandMade(rows))) if "text" in row}
    assert said == {"found": "50 %", "random": "38 %"}


def test_bands_of_training_curves_lie_inside_the_axis() -> None:
    points = [
        {"sparsity": 0.5, "budget": 4, "seed": seed, "arm": "found", "step": 10, "selection_accuracy": value}
        for seed, value in enumerate([0.1, 0.9])
    ]
    chart = charts.training_curves(HandMade(series={"curve": points}))
    low, high = next(e["y"]["scale"]["domain"] for e in everything(chart.to_dict(), "encoding") if "y" in e)
    entry = next(row for row in drawn(chart) if "low" in row)
    assert low < entry["low"] < entry["high"] < high


def surfaces() -> dict[str, dict[str, np.ndarray]]:
    """Six bowls; those before training lie ten times as high."""
    bowl = 0.5 + AXIS[:, None] ** 2 + AXIS[None, :] ** 2
    return {
        f"landscape-{arm}-{when}": {"loss": height * bowl, "axis": AXIS, "radius": np.array(1.0)}
        | {"profile_axis": AXIS, "profile_inside": height * (1 + 9 * AXIS**2), "profile_outside": height + 0 * AXIS}
        for arm in ("dense", "found", "first")
        for when, height in (("before", 10.0), ("after", 1.0))
    }


def test_all_six_landscapes_share_colours_and_contour_levels() -> None:
    chart = charts.landscapes(HandMade(arrays=surfaces()))
    spec = chart.to_dict()
    colours = [encoding["color"]["scale"]["domain"] for encoding in everything(spec, "encoding") if "color" in encoding]
    assert colours == [[0.5, 25.0]] * 6
    cells = [row for row in drawn(chart) if "loss" in row]
    assert (min(row["loss"] for row in cells), max(row["loss"] for row in cells)) == (0.5, 25.0)
    # Before and after have different losses at the same place; equal levels therefore give lines at different places.
    lines = [{(row["x"], row["y"]) for row in rows} for rows in spec["datasets"].values() if rows and "line" in rows[0]]
    assert len(lines) == 2
    assert not lines[0] & lines[1]


def test_both_sides_of_a_mask_are_drawn_on_one_scale() -> None:
    spec = charts.profiles(HandMade(arrays=surfaces())).to_dict()
    domains = [e["y"]["scale"]["domain"] for e in everything(spec, "encoding")]
    assert domains == [[10.0, 100.0]] * 2 + [[1.0, 10.0]] * 2


@pytest.mark.parametrize("name", ["accuracy_by_sparsity", "steps_to_threshold", "landscapes", "profiles"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_every_size_of_run_fits_a_notebook(name: str, seeds: int) -> None:
    rows = [
        result(s, seed, arm, 0.8 + seed / 100, steps_to_threshold=90.0 + seed, censored=0.5)
        for s in (0.0, 0.5, 0.9, 0.99)
        for seed in range(seeds)
        for arm in ("found", "random", "first", "dense")
    ]
    picture = charts.still(getattr(charts, name)(HandMade(rows, arrays=surfaces())), scale=1.0)
    assert picture.size[0] <= 720


def test_a_still_shows_at_its_own_size() -> None:
    chart = charts.accuracy_by_sparsity(HandMade())
    single, double = charts.still(chart, 1.0), charts.still(chart, 2.0)
    assert single.size == pytest.approx(double.size, abs=1)
    assert len(double.data) > len(single.data)
    data, size = double._repr_png_()
    assert data == double.data
    assert (size["width"], size["height"]) == double.size
