"""Charts of private synthetic queries from rows made by hand: what is drawn is what was put in, and counted once."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_queries import DELTA, EPSILON, SIGMA, STEPS, MadeUp, Q, made_up, result

from labkit import charts
from labkit.charts import queries_coverage
from labkit.charts.frontier_ledger import all_runs, ledger_rows, totals
from labkit.charts.queries_exposure import CHANCE
from labkit.charts.queries_retrieval import apart
from labkit.charts.queries_rows import families, interval_words, judged, measured, once, splits
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.theme import ARMS, arm, in_order
from labkit.privacy import spent
from labkit.privacy.events import dp_sgd
from labkit.stats import judge_family, mean_interval

GAIN = np.array([0.05, 0.06, 0.055, 0.045, 0.05])


def everything(spec: Any, key: str) -> list[Any]:
    """All values of a key, anywhere in a specification."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + [f for v in spec.values() for f in everything(v, key)]
    return [f for v in spec for f in everything(v, key)] if isinstance(spec, list) else []


def drawn(chart: Any) -> list[dict]:
    """Every row that a chart embeds."""
    spec = chart if isinstance(chart, dict) else chart.to_dict()
    sets = list(spec.get("datasets", {}).values()) + [v for v in everything(spec, "values") if isinstance(v, list)]
    return [row for rows in sets for row in rows if isinstance(row, dict)]


def text(chart: Any) -> str:
    return json.dumps(chart if isinstance(chart, dict) else chart.to_dict(), ensure_ascii=False)


def said(chart: Any) -> list[str]:
    """The texts of a table's cells."""
    return [" ".join(row["text"]) for row in drawn(chart) if isinstance(row.get("text"), list)]


@pytest.fixture(scope="module")
def retrieval() -> dict[str, Any]:
    """The chart of a whole run, as a specification: it takes a second to draw."""
    return charts.retrieval(made_up()).to_dict()


def test_of_several_seeds_the_t_interval_and_of_one_its_own() -> None:
    rows = [result(3.0, seed, "synthetic", value) for seed, value in enumerate([0.70, 0.72, 0.77])]
    rows += [result(8.0, 0, "synthetic", 0.75)]
    three, one = measured(rows, "recall")
    assert (three["mean"], three["n"]) == (pytest.approx(0.73), 3)
    assert (three["low"], three["high"]) == pytest.approx(mean_interval([0.70, 0.72, 0.77]))
    assert (one["mean"], one["low"], one["high"]) == pytest.approx((0.75, 0.738, 0.762))
    bare = {"epsilon": 8.0, "arm": "synthetic", "bleu": 3.0}
    assert measured([bare], "bleu") == [{"epsilon": 8.0, "arm": "synthetic", "mean": 3.0, "n": 1}]


def test_the_words_say_which_interval_it_is_and_how_wide_the_other() -> None:
    rows = [result(3.0, seed, "synthetic", 0.7) for seed in range(3)]
    one = interval_words(rows[:1])
    assert one[0].startswith("one seed; band or bar: 95 % interval over test queries")
    assert one[1] == "the test set of 4,060 queries"
    three = interval_words(rows)
    assert three[0] == "mean of 3 seeds; band or bar: 95 % t interval over seeds"
    assert three[1] == "the test set of 4,060 queries leaves about \u00b10.012 of its own"
    mixed = interval_words([*rows, result(8.0, 0, "synthetic", 0.7)])
    assert mixed[0].startswith("mean of 1 to 3 seeds")
    assert "of a single seed: 95 % interval over test queries" in mixed[0]
    assert interval_words([]) == []
    short = interval_words([*rows, result(3.0, 0, "real", 0.8, "document", test_queries=3990)])
    assert "3,990 to 4,060 queries" in short[1]


def test_a_baseline_told_at_every_epsilon_counts_once() -> None:
    rows = [result(e, seed, "real", 0.8 + seed / 100) for e in (1.0, 3.0, "plain") for seed in range(2)]
    rows += [result(e, 0, "synthetic", 0.7) for e in (1.0, 3.0)] + [result(1.0, 0, "real", 0.5, "document")]
    kept = once(rows)
    assert [row["arm"] for row in kept] == ["real", "real", "synthetic", "synthetic", "real"]
    assert splits(rows[::-1]) == ["pair", "document"]
    lines = [row for row in drawn(charts.retrieval(MadeUp(rows))) if row.get("arm") == "real" and "mean" in row]
    assert {row["n"] for row in lines} == {1, 2}  # two seeds by pair, one by document
    assert {round(row["mean"], 4) for row in lines if row["n"] == 2} == {0.805, 0.644, 0.6038}


def test_retrieval_draws_each_arm_where_it_belongs(retrieval: dict[str, Any]) -> None:
    points = [row for row in drawn(retrieval) if "at" in row and "mean" in row]
    recall = {(row["arm"], row["epsilon"]): row for row in points[: len(points) // 3]}
    assert {epsilon for name, epsilon in recall if name == "synthetic"} == {"1", "3", "8", "clipped", "plain"}
    assert {epsilon for name, epsilon in recall if name == "logit"} == {"1", "3", "8"}
    assert [recall["synthetic", e]["word"] for e in ("8", "clipped", "plain")] == [False, True, True]
    assert recall["synthetic", "8"]["at"] < recall["synthetic", "clipped"]["at"] < recall["synthetic", "plain"]["at"]
    held = [row["recall"] for row in made_up().results() if row["arm"] == "synthetic" and row["epsilon"] == 3.0]
    assert recall["synthetic", "3"]["mean"] == pytest.approx(np.mean(held))
    names = [row for row in drawn(retrieval) if "name" in row]
    assert [row["arm"] for row in names[:3]] == ["untrained", "untuned", "real"]
    for words in ("recall@10", "nDCG@10", "MRR@10", "not private", "split by pair", "without an epsilon"):
        assert words in text(retrieval)
    rows = [result(1.0, 0, name, 0.6, split) for name in ("synthetic", "real") for split in ("pair", "document")]
    both = text(charts.retrieval(MadeUp(rows)))
    assert "recall@10; split by document: no wording" in both
    assert "without an epsilon" not in both


def test_the_legend_is_of_the_arms_alone(retrieval: dict[str, Any]) -> None:
    """A colour without a scale in any layer would make the legend's symbols as pale as that layer."""
    colours = [encoding["color"] for encoding in everything(retrieval, "encoding") if "color" in encoding]
    assert colours
    assert all(colour["scale"]["domain"] == ["synthetic", "direct", "direct-warm", "logit"] for colour in colours)


def test_at_a_word_only_the_arms_that_go_there_stand_side_by_side(retrieval: dict[str, Any]) -> None:
    points = [row for row in drawn(retrieval) if row.get("word")]
    axis = everything(retrieval, "axis")
    ticks = next(entry["values"] for entry in axis if isinstance(entry, dict) and len(entry.get("values", [])) == 5)
    assert {row["at"] for row in points} == set(ticks[-2:])


def test_a_single_epsilon_has_a_bar_and_not_an_invisible_band(retrieval: dict[str, Any]) -> None:
    chart = charts.retrieval(made_up(seeds=1, epsilon=(3.0, "plain")))
    bars = [row for row in drawn(chart) if row.get("epsilon") == 3.0 and row.get("arm") == "synthetic" and "low" in row]
    assert len(bars) == 3
    assert not [row for row in drawn(retrieval) if row.get("epsilon") == 3.0]


def test_epsilons_are_drawn_without_a_word_beside_them() -> None:
    points = [row for row in drawn(charts.retrieval(made_up(seeds=1, epsilon=(1.0, 3.0)))) if "word" in row]
    assert {(row["arm"], row["epsilon"]) for row in points} == {
        (name, epsilon) for name in ("synthetic", "direct", "direct-warm", "logit") for epsilon in ("1", "3")
    }


def test_names_beside_a_plot_do_not_overlap_by_hand() -> None:
    assert apart([], 1, 0, 10) == []
    assert apart([1, 5, 9], 1, 0, 10) == [1, 5, 9]
    assert apart([1, 1.5, 9], 1, 0, 10) == [1, 2, 9]
    assert apart([9.5, 9.8, 9.9], 1, 0, 10) == [8, 9, 10]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 10), max_size=5))
def test_names_stay_in_order_inside_the_plot_and_apart(places: list[float]) -> None:
    moved = apart(sorted(places), 2.0, 0, 10)
    assert all(b - a >= 2.0 - 1e-9 for a, b in itertools.pairwise(moved))
    assert all(place <= 10 for place in moved)
    assert len(moved) == len(places)


def test_laypeoples_queries_beside_all() -> None:
    rows = [result(e, 0, "synthetic", 0.7) for e in (1.0, 3.0, 8.0, 16.0, "plain")] + [result(1.0, 0, "real", 0.88)]
    entries = [row for row in drawn(charts.retrieval_lay(MadeUp(rows))) if "kind" in row]
    means = {(row["line"], row["kind"]): row["mean"] for row in entries}
    assert means["real queries, not private", "all test queries"] == pytest.approx(0.88)
    assert means["real queries, not private", "laypeople's"] == pytest.approx(0.82)
    lines = list(dict.fromkeys(line for line, _ in means))
    assert lines[0] == "real queries, not private"
    assert [line.rsplit(", ", 1)[1] for line in lines[1:]] == ["epsilon 1", "epsilon 8", "epsilon 16", "plain"]
    without = [row | {"lay_queries": 0} for row in rows]
    assert "no test query of this corpus is marked" in text(charts.retrieval_lay(MadeUp(without)))


def test_the_table_holds_every_arm_and_epsilon_once() -> None:
    view = made_up(seeds=1, epsilon=(1.0, 3.0, "plain"))
    rows = charts.retrieval_rows(view)
    assert [(row["arm"], row["epsilon"]) for row in rows] == [
        ("synthetic", "1"), ("synthetic", "3"), ("synthetic", "plain"), ("direct", "1"), ("direct", "3"),
        ("direct-warm", "1"), ("direct-warm", "3"), ("logit", "1"), ("logit", "3"), ("untuned", ""), ("real", ""),
        ("untrained", ""),
    ]  # fmt: skip
    row = result(3.0, 0, "synthetic", 0.741)
    (single,) = charts.retrieval_rows(MadeUp([row]))
    assert (single["recall"], single["recall_lay"]) == ("0.741 [0.729, 0.753]", "0.681 [0.661, 0.701]")
    assert (single["split_by"], single["seeds"]) == ("pair", "1")
    cells = said(charts.retrieval_table(view))
    assert [cell for cell in cells if "[" in cell][:2] == [rows[0]["recall"], rows[0]["ndcg"]]
    assert "epsilon protects one pair of the training split; delta 2e-05" in text(charts.retrieval_table(view))
    assert "brackets: 95 % interval" in text(charts.retrieval_table(view))


def paired(epsilon: Any, gain: np.ndarray, other: str, split: str = "pair") -> list[dict]:
    """Arms that vary by seed, of which synthetic queries are better by `gain`."""
    base = 0.6 + 0.02 * np.arange(len(gain))
    rows = [result(epsilon, seed, other, float(base[seed]), split) for seed in range(len(gain))]
    return rows + [result(epsilon, seed, "synthetic", float(base[seed] + g), split) for seed, g in enumerate(gain)]


def test_verdicts_pair_by_seed_within_their_family() -> None:
    slight = np.array([0.02, 0.001, 0.03, 0.012, 0.002])
    direct = paired(1.0, GAIN, "direct") + paired(3.0, slight, "direct")
    logit = [r for r in paired(1.0, GAIN, "logit") if r["arm"] == "logit"]
    view = MadeUp(direct + logit, epsilon=(1.0, 3.0))
    words = {(row["where"], row["pair"]): row["word"] for row in charts.retrieval_verdict_rows(view)}
    by_hand = judge_family({"a": GAIN, "b": GAIN, "c": slight, "d": ()}, 0.02)
    assert words == {
        ("epsilon 1, split by pair", "synthetic - direct"): by_hand["a"].word,
        ("epsilon 1, split by pair", "synthetic - logit"): by_hand["b"].word,
        ("epsilon 3, split by pair", "synthetic - direct"): by_hand["c"].word,
        ("epsilon 3, split by pair", "synthetic - logit"): by_hand["d"].word,
    }
    assert by_hand["a"].word == "better"
    dots = {(row["pair"], row["epsilon"]): row for row in drawn(charts.retrieval_verdicts(view)) if "pair" in row}
    assert dots["synthetic - direct", "1"]["mean"] == pytest.approx(GAIN.mean())
    assert set(dots) == {("synthetic - direct", "1"), ("synthetic - direct", "3"), ("synthetic - logit", "1")}
    assert "Holm over all 4 comparisons" in text(charts.retrieval_verdicts(view))


def test_a_word_is_compared_with_real_queries_alone() -> None:
    view = made_up()
    assert families(view)["private"] == tuple(("synthetic", name) for name in ("direct", "direct-warm", "logit"))
    private, real = (judged(view, pairs) for pairs in families(view).values())
    assert {c.fields["epsilon"] for c in private} == {1.0, 3.0, 8.0}
    assert [c.fields["epsilon"] for c in real] == list(EPSILON)
    assert len(private) == 9
    only = MadeUp([row for row in view.results() if row["arm"] in ("synthetic", "real")])
    assert families(only)["private"] == ()


def test_too_few_seeds_are_said() -> None:
    three = MadeUp(paired(1.0, GAIN[:3], "direct"), epsilon=(1.0,), seeds=3)
    (row,) = charts.retrieval_verdict_rows(three)
    assert row["word"] == "undecided"
    assert row["text"] == "undecided: a verdict needs 5 paired seeds, there are 3"
    assert "a verdict needs 5 paired seeds, there are 3: undecided" in text(charts.retrieval_verdicts(three))
    five = MadeUp(paired(1.0, GAIN, "direct"), epsilon=(1.0,))
    assert "a verdict needs" not in text(charts.retrieval_verdicts(five))
    running = MadeUp(paired(1.0, GAIN, "direct"), epsilon=(1.0,), finished=False)
    assert charts.retrieval_verdict_rows(running)[0]["word"] == "undecided"


def test_quality_marks_what_is_not_private() -> None:
    chart = charts.quality(made_up())
    titles = [t["text"] for t in everything(chart.to_dict(), "title") if isinstance(t, dict) and "text" in t]
    assert [title for title in titles if "copies" in title] == [
        "not private: copies, same document", "not private: copies, any document",
    ]  # fmt: skip
    assert "never a filter" in text(chart)
    rows = [result(3.0, 0, "synthetic", 0.7, bleu=14.0, queries=20), result(3.0, 0, "untuned", 0.5, bleu=3.0)]
    entries = [row for row in drawn(charts.quality(MadeUp(rows))) if "mean" in row]
    assert {(row["arm"], row["mean"]) for row in entries} == {("synthetic", 14.0), ("untuned", 3.0)}
    assert "20 queries each" in text(charts.quality(MadeUp(rows)))


def test_samples_stand_under_their_document() -> None:
    cells = said(charts.samples(made_up()))
    assert cells[:2] == ["model", "query"]
    at = cells.index("untuned model")
    assert [cells[i] for i in range(at, at + 8, 2)] == ["untuned model", "tuned, epsilon 1", "tuned, epsilon 8",
                                                      "tuned, plain (no epsilon)"]  # fmt: skip
    assert cells[at + 1] == "untuned words 0 for document 0  \u00b7  untuned words 1 for document 0"
    assert sum(cell.startswith("Ptosis") for cell in cells) == 0  # four documents are enough
    assert "clipped and plain: not private" in text(charts.samples(made_up()))
    script = {"epsilon": 1.0, "split_by": "pair", "seed": 0, "arm": "untuned", "row": 0}
    odd = charts.samples(MadeUp(series={"samples": [script | {"document": "<script>", "query": ""}]}))
    assert {"<script>", "(empty)"} <= set(said(odd))


def test_the_chance_of_exposure_is_1_44_bits() -> None:
    """The mean of log2 R - log2 rank over all ranks tends to 1 / ln 2."""
    ranks = np.arange(1, 100_001)
    assert np.mean(np.log2(len(ranks)) - np.log2(ranks)) == pytest.approx(CHANCE, abs=2e-4)
    assert f"{CHANCE:.2f}" == "1.44"


def test_every_canary_is_a_dot_and_the_bar_their_mean() -> None:
    made = {"epsilon": 3.0, "split_by": "pair", "seed": 0, "cap": 10.0}
    rows = [made | {"repeats": 10, "canary": i, "exposure": float(i)} for i in range(4)]
    rows += [made | {"repeats": 1, "canary": 0, "exposure": 2.5}, rows[0]]  # one was told twice
    chart = charts.exposure(MadeUp(series={"exposure": rows}))
    dots = [(row["repeats"], row["exposure"]) for row in drawn(chart) if "exposure" in row]
    assert sorted(dots) == [("1", 2.5), ("10", 0.0), ("10", 1.0), ("10", 2.0), ("10", 3.0)]
    assert {row["repeats"]: row["mean"] for row in drawn(chart) if "n" in row} == {"1": 2.5, "10": 1.5}
    assert [row["at"] for row in drawn(chart) if set(row) == {"at"}] == [CHANCE, 10.0]
    assert "1 to 4 canaries" in text(chart)
    assert "fewer than 20 say little" in text(chart)
    assert "fewer than 20" not in text(charts.exposure(made_up()))
    assert "runs of their own" in text(charts.exposure(MadeUp()))


def test_the_ledger_counts_the_tuned_model() -> None:
    view = made_up(seeds=2)
    rows = ledger_rows(view)
    assert [(row["epsilon"], row["alone"], row["charged"]) for row in rows] == [
        (e, 0.998 * e, 0.998 * e) for e in (1.0, 3.0, 8.0)
    ]
    joint = spent([dp_sgd(Q, SIGMA, STEPS)] * 3, DELTA).epsilon
    assert all_runs(view)["epsilon"] == pytest.approx(joint)
    assert totals(view).startswith("(a) a run alone: epsilon 7.98; (b) charged for choosing its learning rate: 7.98; ")
    assert f"(c) all runs with tuning: {joint:.3g}, not a releasable guarantee" in totals(view)
    chart = text(charts.ledger(view))
    assert "tuned language model; add/remove one training pair; delta 2e-05; PLD; Poisson" in chart
    for listed in (*queries_coverage.free(), *queries_coverage.not_covered()):
        assert listed.what.split()[0] in chart
    assert "fixed random masks" not in chart


def test_text_in_columns_wraps_and_pushes_the_next_row_down() -> None:
    chart = text_table([("a", "b"), (Cell("one", bold=True), "word " * 40), ("two", "")], (0, 500))
    cells = [row for row in drawn(chart) if "text" in row]
    long = next(row for row in cells if len(row["text"]) > 1)
    assert sum(map(len, long["text"])) + len(long["text"]) - 1 == len("word " * 40) - 1  # nothing is lost
    tops = {row["text"][0]: row["y"] for row in cells}
    assert tops["two"] - tops["one"] > 14 * len(long["text"])
    assert {row["weight"] for row in cells if row["text"] == ["one"]} == {"bold"}


def test_arms_have_a_look_of_their_own() -> None:
    names = ["untrained", "real", "untuned", "synthetic", "direct", "direct-warm", "logit"]
    assert len({arm(name).colour for name in names}) == len({arm(name).words for name in names}) == 7
    assert in_order(names)[0] == "synthetic"
    assert set(names) <= set(ARMS)
