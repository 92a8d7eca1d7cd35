"""Charts of the privacy frontier from rows made by hand: what is drawn is what was put in, and counted once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from made_up_frontier import FULL, MadeUp, made_up, result

from labkit import charts
from labkit.charts.epsilons import Places, called, few, in_words, ordered
from labkit.charts.frontier_audit import confidence_words
from labkit.charts.frontier_classes import class_words, spread, thinned
from labkit.charts.frontier_rows import drawn_arm, once, signed, usual
from labkit.charts.frontier_tuning import widened_words
from labkit.charts.theme import arm
from labkit.stats import mean_interval


def everything(spec: Any, key: str) -> list[Any]:
    """All values of a key, anywhere in a specification."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + [f for v in spec.values() for f in everything(v, key)]
    return [f for v in spec for f in everything(v, key)] if isinstance(spec, list) else []


def drawn(chart: Any) -> list[dict]:
    """Every row that a chart embeds."""
    spec = chart.to_dict()
    sets = list(spec.get("datasets", {}).values()) + [v for v in everything(spec, "values") if isinstance(v, list)]
    return [row for rows in sets for row in rows if isinstance(row, dict)]


def text(chart: Any) -> str:
    return json.dumps(chart.to_dict(), ensure_ascii=False)


@pytest.fixture(scope="module")
def views() -> dict[str, MadeUp]:
    return {"quick": made_up(), "full": made_up(**FULL)}


def test_numbers_come_first_and_words_beyond_a_gap() -> None:
    values = ["plain", 8.0, 0.5, "clipped", 2.0, 0.5]
    assert ordered(values) == [0.5, 2.0, 8.0, "clipped", "plain"]
    places = Places.of(values)
    assert [places.at[e] for e in (0.5, 2.0, 8.0)] == [-1.0, 1.0, 3.0]
    assert places.at[8.0] < places.gap < places.at["clipped"] < places.at["plain"] < places.domain[1]
    assert Places.of([1.0, 2.0]).gap is None
    assert Places.of([1.0, 2.0]).words_zone() == []
    assert len(Places.of(["plain"]).words_zone()) == 2
    said = places.x().to_dict()["axis"]["labelExpr"]
    assert [f"'{called(e)}'" in said for e in places.at] == [True] * 5


def test_a_few_epsilons_are_the_ends_and_the_middle() -> None:
    values = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, "clipped", "plain"]
    assert few(values, 3) == [0.25, 1.0, 8.0]
    assert few(values, 2) == [0.25, 8.0]
    assert few(values, 9) == values[:6]
    assert few(["plain"], 3) == []
    assert (in_words(0.5), in_words("plain")) == ("epsilon 0.5", "plain (no epsilon)")


def test_a_dense_network_told_at_every_sparsity_counts_once() -> None:
    rows = [result(1.0, s, seed, "dense", 0.8 + seed / 100) for s in (0.0, 0.5, 0.9) for seed in range(3)]
    rows += [result(1.0, s, seed, "random", 0.7 + s / 10) for s in (0.5, 0.9) for seed in range(3)]
    assert [sum(row["arm"] == name for row in once(rows)) for name in ("dense", "random")] == [3, 6]
    entries = [row for row in drawn(charts.frontier(MadeUp(rows))) if row.get("arm") == "dense" and "mean" in row]
    low, high = mean_interval([0.8, 0.81, 0.82])
    assert [(row["n"], row["mean"]) for row in entries] == [(3, pytest.approx(0.81))] * 2  # a panel for each sparsity
    assert (entries[0]["low"], entries[0]["high"]) == (pytest.approx(low), pytest.approx(high))


def test_the_frontier_says_what_its_bands_leave_out(views) -> None:
    said = text(charts.frontier(views["quick"]))
    for words in ("1,500 images has a standard error of", "not private", "no epsilon is charged", "5 seeds"):
        assert words in said
    assert "90 % of hidden nodes removed" in said
    private = charts.frontier(made_up(epsilon=(1.0, 2.0)))
    assert "not private" not in text(private)


def test_only_private_points_are_joined_by_lines(views) -> None:
    spec = charts.frontier(views["quick"]).to_dict()
    layers = [layer for layers in everything(spec, "layer") for layer in layers]
    kinds = {layer["mark"]["type"]: layer.get("transform", [{}])[0].get("filter", "") for layer in layers}
    assert kinds["line"] == "!datum.word"
    assert kinds["area"].startswith("!datum.word")
    assert {row["word"] for row in drawn(charts.frontier(views["quick"])) if row.get("epsilon") == "plain"} == {True}


def test_one_sparsity_stands_for_all_where_one_must() -> None:
    rows = [{"sparsity": s, "space": space} for s, space in ((0.0, "nodes"), (0.5, "nodes"), (0.95, "weights"))]
    assert usual(rows) == (0.5, "nodes")
    assert usual(rows[:1]) is None
    assert drawn_arm({"arm": "random", "space": "weights"}) == "random-weights"
    assert arm("chosen-100") == arm("chosen-10") == arm("chosen")


def test_at_many_sparsities_the_dense_network_is_a_line_across(views) -> None:
    rows = drawn(charts.by_sparsity_at_epsilon(views["full"]))
    dense = {row["epsilon"]: row for row in rows if row.get("arm") == "dense"}
    assert list(dense) == [0.25, 1.0, 8.0, "plain"]
    assert {row["n"] for row in dense.values()} == {10}
    assert all("kept" not in row for row in dense.values())
    assert {row["arm"] for row in rows if "kept" in row} == {"random-nodes", "random-weights", "small"}


def test_a_class_named_beforehand_and_the_spread() -> None:
    recalls = {f"recall_{c}": value for c, value in enumerate([0.5, 0.7, 0.9])}
    rows = [result(e, 0.0, seed, "dense", 0.7, **recalls) for e in (1.0, "plain") for seed in range(2)]
    assert spread(rows[0]) == pytest.approx(np.sqrt(0.08 / 3))
    view = MadeUp(rows, thin_class="Pullover")
    assert (thinned(view.spec), class_words(view.spec, 2)) == (2, "class 2 (Pullover)")
    assert thinned(MadeUp(thin_class="").spec) is None
    table = drawn(charts.per_class(view))
    assert {row["class"] for row in table if row.get("thin")} == {"class 2 (Pullover)"}
    assert {row["mean"] for row in table if row.get("thin")} == {0.9}
    assert "spread of the dense network: 0.163 at epsilon 1, 0.163 at plain" in text(charts.per_class(view))
    assert "no class was thinned" in text(charts.per_class(MadeUp(rows, thin_class="")))


def test_what_a_simulation_foretold_stands_against_what_was_measured() -> None:
    rows = [result(e, 0.0, seed, "dense", e / 10 + seed / 100) for e in (1.0, 2.0) for seed in range(2)]
    rows += [result(1.0, 0.0, seed, "simulated", 0.3 + seed / 50) for seed in range(2)]
    rows += [result("plain", 0.0, seed, "dense", 0.9) for seed in range(2)]
    chart = charts.total_noise(MadeUp(rows))
    (entry,) = [row for row in drawn(chart) if "x_mean" in row]  # epsilon 2 has no simulation, plain no epsilon
    assert (entry["epsilon"], entry["x_mean"], entry["y_mean"]) == (
        "epsilon 1",
        pytest.approx(0.31),
        pytest.approx(0.105),
    )
    assert "is not private itself" in text(chart)


def tried(arm_name: str, sparsity: float, rates: dict[float, int], best: float) -> list[dict]:
    made = {"epsilon": 1.0, "sparsity": sparsity, "space": "nodes", "seed": 0, "arm": arm_name}
    return [
        made | {"learning_rate": rate, "selection_accuracy": 0.5, "chosen": rate == best, "round": turn}
        for rate, turn in rates.items()
    ]


def test_a_widened_grid_is_said() -> None:
    dense = [row for s in (0.0, 0.9) for row in tried("dense", s, {0.1: 0, 0.2: 0, 0.4: 0}, 0.2)]
    wide = tried("random", 0.9, {0.1: 0, 0.2: 0, 0.4: 1}, 0.2)
    assert widened_words(dense) == "none of 1 grids had to be widened; no choice lies at an edge"
    assert widened_words(dense + wide).startswith("1 of 2 grids widened, as their best value lay at the edge")
    assert widened_words(tried("random", 0.9, {0.1: 0, 0.2: 0}, 0.2)).endswith("1 still end at their best value")
    told = [row | {"tuned_sparsity": 0.9, "tuned_space": "nodes", "sparsity": 0.0, "widened": 2} for row in wide]
    assert widened_words(told).startswith("1 of 1 grids widened")
    assert "masked: 90 % of hidden nodes removed" in text(charts.tuning(MadeUp(series={"tuning": told})))
    chart = charts.tuning(MadeUp(series={"tuning": dense + wide}))
    assert "not private" in text(chart)
    assert {row["learning_rate"] for row in drawn(chart) if row.get("chosen")} == {0.2}
    assert [row["learning_rate"] for row in drawn(chart) if row.get("added")] == [0.4]


def test_the_audit_counts_its_latest_report_and_refutes_a_claim_below_it() -> None:
    made = {"epsilon": 1.0, "seed": 0, "epsilon_claimed": 1.0, "confidence": 0.999, "method": "game"}
    reports = [made | {"epsilon_lower": lower, "runs": runs} for lower, runs in ((0.9, 4000), (0.4, 100))]
    chart = charts.audit(MadeUp(series={"audit": reports}))
    (span,) = [row for row in drawn(chart) if "said" in row]
    assert (span["lower"], span["refuted"], span["said"]) == (0.9, False, "at least 0.90, 90 % of it")
    worse = made | {"epsilon_lower": 1.8, "runs": 4000, "epsilon_expected": 0.9}
    broken = charts.audit(MadeUp(series={"audit": [worse]}))
    assert [row["expected"] for row in drawn(broken) if "expected" in row] == [0.9]
    (span,) = [row for row in drawn(broken) if "said" in row]
    assert (span["refuted"], span["said"]) == (True, "refuted: at least 1.80")
    assert "of 1,000 audits of a right program, one accuses it wrongly" in confidence_words(0.999)


def test_the_circle_of_noise_has_the_stored_radius(views) -> None:
    chart = charts.private_landscapes(views["quick"])
    points = [row for row in drawn(chart) if set(row) == {"x", "y", "place"}]
    radii = {round(float(np.hypot(row["x"], row["y"])), 6) for row in points}
    assert radii == {1.8, 0.45, 0.1125}  # none at clipped and plain
    assert text(chart).count("the circle lies outside") == 1
    assert "not private" in text(chart)


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert [signed(x) for x in (0.0123, -0.0123, -0.0001)] == ["+0.012", "\u22120.012", "0.000"]
