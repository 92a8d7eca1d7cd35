"""Charts that judge: pairs by seed, a family of Holm's for each question, no verdict before all seeds are there."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_frontier import MadeUp, made_up, result
from test_frontier import drawn, everything, text

from labkit import charts
from labkit.charts.frontier_rows import chosen_arms, families, judged
from labkit.stats import judge_family

GAIN = np.array([0.05, 0.06, 0.055, 0.045, 0.05])


def paired(epsilon: object, sparsity: float, gain: np.ndarray, **rest: np.ndarray) -> list[dict]:
    """A dense network that varies by seed, and a masked one that is better by `gain`."""
    base = 0.7 + 0.03 * np.arange(5)
    rows = []
    for seed in range(5):
        values = {name: float(base[seed] + other[seed]) for name, other in rest.items()}
        dense = {name: float(base[seed]) for name in rest}
        rows += [
            result(epsilon, sparsity, seed, "dense", float(base[seed]), **dense),
            result(epsilon, sparsity, seed, "random", float(base[seed] + gain[seed]), **values),
        ]
    return rows


def test_the_map_pairs_by_seed_and_corrects_over_all_its_cells() -> None:
    slight = np.array([0.02, 0.001, 0.03, 0.012, 0.002])
    rows = (
        paired(1.0, 0.5, GAIN) + paired(1.0, 0.9, slight) + paired("plain", 0.5, -GAIN) + paired("plain", 0.9, 0 * GAIN)
    )
    view = MadeUp(rows, epsilon=(1.0, "plain"), sparsity=(0.5, 0.9))
    tiles = {(row["epsilon"], row["row"]): row for row in drawn(charts.privacy_map(view)) if "said" in row}
    by_hand = judge_family({"a": GAIN, "b": slight, "c": -GAIN, "d": 0 * GAIN}, 0.01)
    assert [tiles[key]["word"] for key in (("1", "50 %"), ("1", "90 %"), ("plain", "50 %"), ("plain", "90 %"))] == [
        verdict.word for verdict in by_hand.values()
    ]
    assert tiles["1", "50 %"]["word"] == "better"
    assert tiles["plain", "50 %"]["word"] == "worse"
    assert tiles["plain", "90 %"]["word"] == "no difference"
    assert tiles["1", "50 %"]["mean"] == pytest.approx(GAIN.mean())
    assert tiles["1", "90 %"]["sure"] < tiles["1", "50 %"]["sure"]  # undecided is pale
    assert "over all 4 comparisons" in text(charts.privacy_map(view))


def test_no_verdict_on_the_way() -> None:
    view = MadeUp(paired(1.0, 0.9, GAIN), epsilon=(1.0,), sparsity=(0.9,), finished=False)
    (tile,) = [row for row in drawn(charts.privacy_map(view)) if "said" in row]
    assert (tile["word"], tile["number"]) == ("undecided", "+0.052")


def test_a_gain_that_vanishes_under_tuning_is_counted() -> None:
    rows = paired(1.0, 0.9, 0 * GAIN, test_accuracy_shared=GAIN)
    chart = charts.tuned_and_shared(MadeUp(rows, epsilon=(1.0,), sparsity=(0.9,)))
    words = {row["rate"]: row["word"] for row in drawn(chart) if "rate" in row}
    assert words == {"shared": "better", "tuned": "no difference"}
    assert "1 certain gain in 1 comparisons" in text(chart)
    assert "1 of them is gone" in " ".join(everything(chart.to_dict(), "title")[0]["subtitle"])
    none = charts.tuned_and_shared(MadeUp(rows[:0], learning_rate="shared"))
    assert "learning rates are not tuned in this run" in text(none)


def test_choosing_is_judged_only_where_something_is_paid_for() -> None:
    view = made_up()
    assert chosen_arms(view.results()) == ["chosen-10", "chosen-100", "chosen-1000", "repeats"]
    found = judged(view, families(view)["choosing"])
    assert {c.fields["epsilon"] for c in found} == {0.5, 2.0, 8.0}
    assert len(found) == 3 * 4
    rows = [row for row in drawn(charts.choosing(view)) if "k" in row]
    assert {(row["one"], row["k"]) for row in rows} == {
        ("chosen-10", 10), ("chosen-100", 100), ("chosen-1000", 1000), ("repeats", 10),
    }  # fmt: skip
    held = {(r["epsilon"], r["seed"], r["arm"]): r["test_accuracy"] for r in view.results() if r["sparsity"] > 0}
    mean = np.mean([held[2.0, seed, "repeats"] - held[2.0, seed, "random"] for seed in range(5)])
    assert [r["mean"] for r in rows if r["one"] == "repeats" and r["epsilon"] == "2"] == [pytest.approx(mean)]


def test_the_table_says_what_the_map_says() -> None:
    view = made_up()
    rows = charts.frontier_verdict_rows(view)
    assert [row["pair"] for row in rows[:6]] == ["random - dense"] * 5 + ["random - small"]
    assert rows[0]["where"] == "epsilon 0.5, 90 % of hidden nodes removed"
    assert rows[4]["where"].startswith("plain (no epsilon)")
    assert {row["n"] for row in rows} == {"5"}
    tiles = [row for row in drawn(charts.privacy_map(view)) if "number" in row]
    cells = [row for row in drawn(charts.frontier_verdicts(view)) if row.get("line") == "90 % of nodes"]
    assert [row["word"] for row in cells[:5]] == [row["word"] for row in tiles] == [row["word"] for row in rows[:5]]
