"""Charts of sparse embeddings from rows made by hand: what is drawn is what was put in, paired, and counted once."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_embeddings import DIM, ROWS, TOUCHED, MadeUp, made_up, result

from labkit import charts
from labkit.charts import embeddings_coverage
from labkit.charts.embeddings_fractions import inverted
from labkit.charts.embeddings_noninferior import asserted
from labkit.charts.embeddings_panels import bounded, log_ticks, with_gain
from labkit.charts.embeddings_picks import comparable, losses, picks
from labkit.charts.embeddings_rows import Configuration, Place, factor, once, usual
from labkit.charts.embeddings_stream import leads
from labkit.charts.embeddings_table import size_words, unbeaten
from labkit.charts.embeddings_verdicts import judged
from labkit.charts.frontier_ledger import ledger_rows
from labkit.charts.theme import arm, in_order
from labkit.stats import judge_family, judge_losses, mean_interval

LOSS = [0.001, 0.002, 0.0015, 0.0012, 0.0018]


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


def title(chart: Any) -> str:
    return " ".join(chart.to_dict()["title"]["subtitle"])


def said(chart: Any) -> list[str]:
    """The texts of a table's cells."""
    return [" ".join(row["text"]) for row in drawn(chart) if isinstance(row.get("text"), list)]


def paired(lost: list[float], method: str = "adafest", epsilon: float = 1.0, **rest: Any) -> list[dict]:
    """A method that loses so much to DP-SGD, seed by seed, on test and selection data."""
    levels = [0.7 + 0.02 * seed for seed in range(len(lost))]
    base = [result(epsilon, seed, "dpsgd", level) for seed, level in enumerate(levels)]
    return base + [
        result(epsilon, seed, method, level - held, **rest)
        for seed, (level, held) in enumerate(zip(levels, lost, strict=True))
    ]


def ada(threshold: float, survivors: float, lost: list[float], **rest: Any) -> list[dict]:
    return paired(lost, threshold=threshold, selection_fraction=0.5, survivors=survivors, **rest)


def test_a_configuration_holds_what_its_method_reads() -> None:
    row = result(1.0, 0, "adafest_plus", 0.7, threshold=3.0, selection_fraction=0.5, k=1000, map_norm="l1")
    assert Configuration.of(row).words == "k 1,000, threshold 3, f 0.5, L1 map"
    assert Configuration.of(row | {"arm": "adafest"}).words == "threshold 3, f 0.5, L1 map"
    assert Configuration.of(row | {"arm": "fest"}) == Configuration("fest", k=1000)
    assert Configuration.of(row | {"arm": "dpsgd"}) == Configuration("dpsgd")
    assert Configuration.of(row | {"arm": "lazydp"}).words == ""


def test_a_baseline_told_at_every_grid_point_counts_once() -> None:
    rows = [result(1.0, seed, "dpsgd", 0.7, threshold=t) for t in (1.0, 3.0) for seed in range(2)]
    assert [row["threshold"] for row in once(rows)] == [1.0, 1.0]
    assert len(once([*rows, rows[0] | {"order": "months"}, rows[0] | {"vocabulary": 100}])) == 4


def test_the_usual_rows_are_of_the_whole_vocabulary_and_the_shuffled_year() -> None:
    rows = [result(1.0, 0, "dpsgd", 0.7, vocabulary=v, order=o) for v in (1000, 0, 10) for o in ("months", "year")]
    assert [(row["vocabulary"], row["order"]) for row in usual(rows)] == [(0, "year")]
    assert [(row["vocabulary"]) for row in usual([row for row in rows if row["vocabulary"]])] == [1000]
    assert [row["order"] for row in usual(rows[:1])] == ["months"]
    assert usual([]) == []
    many = [result(1.0, 0, "fest", 0.7, vocabulary=10, k=k, order="months") for k in (1, 2)]
    assert {(row["vocabulary"], row["order"]) for row in usual(rows + many)} == {(10, "months")}


def test_losses_are_paired_by_seed_at_the_same_place_by_hand() -> None:
    rows = [*ada(3.0, 100, [0.01, 0.02]), result(3.0, 0, "dpsgd", 0.9)]
    rows += [result(1.0, 7, "adafest", 0.5, threshold=3.0, selection_fraction=0.5)]  # DP-SGD has no seed 7
    ((key, held),) = losses(rows).items()
    assert key == (Place(1.0, 0, "year"), Configuration("adafest", 0, 3.0, 0.5))
    assert held == pytest.approx({0: 0.01, 1: 0.02})
    assert losses([result("plain", 0, "dpsgd", 0.8)]) == {}


def test_reduction_draws_each_configuration_with_its_paired_interval() -> None:
    view = MadeUp(ada(3.0, ROWS / 200, LOSS) + ada(5.0, ROWS / 900, [0.02, 0.01, 0.03, 0.02, 0.01]))
    marks = {row["words"]: row for row in drawn(charts.reduction(view)) if "picked" in row}
    assert set(marks) == {"threshold 3, f 0.5", "threshold 5, f 0.5"}
    mark = marks["threshold 3, f 0.5"]
    assert (mark["mean"], mark["reduction"], mark["n"]) == pytest.approx((np.mean(LOSS), 200, 5))
    assert (mark["low"], mark["high"]) == pytest.approx(mean_interval(LOSS))
    assert (mark["picked"], marks["threshold 5, f 0.5"]["picked"]) == (True, False)
    assert {row["at"] for row in drawn(charts.reduction(view)) if set(row) == {"at", "said"}} == {0.005, 0.01}
    baseline = [row for row in drawn(charts.reduction(view)) if row.get("arm") == "dpsgd"]
    assert {(row["reduction"], row["mean"]) for row in baseline} == {(1.0, 0.0)}
    assert "mean of 5 seeds, paired with DP-SGD's; bar: 95 % paired t interval" in title(charts.reduction(view))


def test_one_seed_has_points_without_intervals_and_says_so() -> None:
    chart = charts.reduction(MadeUp(ada(3.0, 100, [0.001]), seeds=1))
    (mark,) = [row for row in drawn(chart) if "picked" in row]
    assert "low" not in mark
    assert "one seed: points without intervals" in title(chart)
    assert "ringed" not in title(chart)


def test_nothing_survives_is_no_point_on_a_log_axis() -> None:
    view = MadeUp(ada(9.0, 0, LOSS) + ada(3.0, 100, LOSS))
    chart = charts.reduction(view)
    assert [row["words"] for row in drawn(chart) if "picked" in row] == ["threshold 3, f 0.5"]
    assert "not drawn: 1 without a pair yet or without any surviving row" in title(chart)
    assert [row["reduction"] for row in charts.auc_rows(view) if "9" in row["settings"]] == ["no survivor"]


def test_selection_data_pick_and_test_data_assert_by_hand() -> None:
    """Threshold 5 loses nothing on selection data and too much on test data: it is picked, and not shown."""
    good = ada(3.0, ROWS / 100, LOSS)
    flattered = ada(5.0, ROWS / 1000, [0.0051, 0.0049, 0.005, 0.0052, 0.0048])
    for row in flattered:
        if row["arm"] == "adafest":
            row["selection_auc"] = 0.7 + 0.02 * row["seed"]
    view = MadeUp(good + flattered)
    small, wide = asserted(view)
    assert (small.margin, wide.margin) == (0.005, 0.01)
    assert small.configuration == wide.configuration == Configuration("adafest", 0, 5.0, 0.5)
    assert small.reduction == pytest.approx(1000)
    assert (small.found.word, wide.found.word) == ("not shown", "non-inferior")
    rows = charts.noninferior_rows(view)
    assert (rows[0]["configuration"], rows[0]["reduction"]) == ("threshold 5, f 0.5", "1,000\u00d7")
    assert "not shown" in said(charts.noninferior(view))


def test_the_bound_decides_what_is_picked_and_not_the_mean() -> None:
    noisy = [0.0, 0.009, 0.001, 0.008, 0.0]
    view = MadeUp(ada(3.0, ROWS / 100, LOSS) + ada(5.0, ROWS / 1000, noisy))
    (found,) = picks(view.results()).values()
    assert np.mean(noisy) < 0.005
    assert found.within[0.005].threshold == 3.0
    assert found.within[0.01].threshold == 5.0
    assert found.best.threshold == 3.0


def test_the_family_is_every_method_epsilon_and_margin() -> None:
    view = made_up(epsilon=(1.0, 3.0))
    family = asserted(view)
    assert len(family) == 2 * 3 * 2
    lost = losses(view.results())
    by_hand = judge_losses({
        i: (list(lost[m.place, m.configuration].values()) if m.configuration else [], m.margin)
        for i, m in enumerate(family)
    })  # fmt: skip
    assert [m.found.word for m in family] == [found.word for found in by_hand.values()]
    assert [m.found.p_value for m in family if m.configuration] == [
        found.p_value for m, found in zip(family, by_hand.values(), strict=True) if m.configuration
    ]
    assert "corrected by Holm over all 12 rows" in title(charts.noninferior(view))
    assert {m.method for m in family} == {"fest", "adafest", "adafest_plus"}


def test_too_few_seeds_are_said() -> None:
    one = MadeUp(ada(3.0, 100, LOSS[:1]), seeds=1)
    assert {row["word"] for row in charts.noninferior_rows(one)} == {"undecided: too few seeds, 1"}
    three = MadeUp(ada(3.0, 100, LOSS[:3]), seeds=3)
    assert {row["word"] for row in charts.noninferior_rows(three)} == {"undecided: fewer than 5 seeds"}
    running = MadeUp(ada(3.0, 100, LOSS), seeds=7)
    assert {row["word"] for row in charts.noninferior_rows(running)} == {"undecided: 5 of 7 seeds are finished"}
    early = asserted(running)[0].found
    assert (early.word, early.text) == ("undecided", "undecided: 5 of 7 seeds are finished")
    assert early.mean == pytest.approx(np.mean(LOSS))
    looked = MadeUp(ada(3.0, 100, [*LOSS, 0.001]), seeds=6, planned={5, 6})
    assert "seeds were added after a look" in charts.noninferior_rows(looked)[0]["word"]
    lost = MadeUp(ada(3.0, 100, [0.05, 0.06, 0.05, 0.07, 0.05]))
    assert {row["word"] for row in charts.noninferior_rows(lost)} == {"none picked"}


def test_verdicts_pair_the_picked_with_dp_sgd() -> None:
    small = [0.01, 0.02, 0.015, 0.012, 0.018]
    view = MadeUp(ada(3.0, ROWS / 100, LOSS) + ada(5.0, ROWS / 1000, small))
    (only,) = judged(view)  # the best is also the one within either margin
    assert only.verdict.word == judge_family({"a": [-held for held in LOSS]}, 0.002)["a"].word
    assert only.verdict.mean == pytest.approx(-np.mean(LOSS))
    (row,) = charts.embeddings_verdict_rows(view)
    assert (row["where"], row["pair"], row["configuration"]) == ("epsilon 1", "adafest - dpsgd", "threshold 3, f 0.5")
    running = MadeUp(view.results(), seeds=10)
    assert charts.embeddings_verdict_rows(running)[0]["text"] == "undecided: 5 of 10 seeds are finished"
    three = MadeUp(ada(3.0, 100, LOSS[:3]), seeds=3)
    assert "a verdict needs 5 paired seeds, there are 3: undecided" in title(charts.embeddings_verdicts(three))
    whole = made_up()
    assert f"Holm over all {len(judged(whole))} comparisons" in title(charts.embeddings_verdicts(whole))


def test_the_table_holds_every_configuration() -> None:
    view = made_up(seeds=2, epsilon=(1.0, "plain"), methods=("dpsgd", "fest", "lazydp"))
    rows = charts.auc_rows(view)
    assert [(row["epsilon"], row["method"], row["settings"]) for row in rows] == [
        ("1", "dpsgd", ""), ("1", "fest", "k 10"), ("1", "fest", "k 100"), ("1", "lazydp", ""), ("plain", "plain", ""),
    ]  # fmt: skip
    held = [row["auc"] for row in view.results() if row["k"] == 10]
    low, high = mean_interval(held)
    assert rows[1]["auc"] == f"{np.mean(held):.4f} [{low:.4f}, {high:.4f}]"
    assert (rows[1]["reduction"], rows[1]["survivors"], rows[1]["seeds"]) == ("40\u00d7", "738", "2")
    assert (rows[0]["reduction"], rows[0]["survivors"]) == ("", "29,500")
    single = result(1.0, 0, "dpsgd", 0.7, auc_error=0.01)
    (only,) = charts.auc_rows(MadeUp([single], seeds=1))
    assert only["auc"] == "0.7000 [0.6804, 0.7196]"
    assert "brackets: 95 % interval of this test set" in title(charts.auc_table(MadeUp([single], seeds=1)))
    assert rows[1]["auc"] in said(charts.auc_table(view))


def test_only_configurations_that_another_beats_are_left_out() -> None:
    view = made_up(epsilon=(1.0,))
    assert "that another of their method beats in selection AUC and in reduction" in title(charts.auc_table(view))
    few = made_up(epsilon=(1.0,), methods=("dpsgd", "fest"))
    assert "left out" not in title(charts.auc_table(few))
    pair = [[{"selection_auc": 0.7, "reduction": 5.0}], [{"selection_auc": 0.7, "reduction": 4.0}]]
    assert unbeaten(pair) == pair[:1]
    assert unbeaten(pair[:1] * 2) == pair[:1] * 2  # equals do not beat each other


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8))
def test_whatever_is_left_out_is_beaten_by_one_that_stays(points) -> None:
    groups = [[{"selection_auc": a, "reduction": g}] for a, g in points]
    kept = [(own[0]["selection_auc"], own[0]["reduction"]) for own in unbeaten(groups)]
    assert kept
    assert all(any(a >= x and g >= y for a, g in kept) for x, y in points)


def test_the_inverted_fraction_by_hand() -> None:
    """The table of shares: 99.99, 98.8, 50, 1.2 and 0.01 %."""
    assert [f"{100 * inverted(f):.3g}" for f in (0.01, 0.1, 0.5, 0.9)] == ["100", "98.8", "50", "1.22"]
    assert inverted(0.99) == pytest.approx(1e-4, rel=0.03)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.99))
def test_the_inverted_fraction_follows_from_its_two_noises(fraction: float) -> None:
    r = fraction / (1 - fraction)
    on_map, on_gradient = math.sqrt(1 + r**2), math.sqrt(1 + r**2) / r
    assert on_map**-2 + on_gradient**-2 == pytest.approx(1)  # as private, whichever way it is read
    assert inverted(fraction) == pytest.approx(on_map**-2)


def test_fractions_draw_the_paired_gain_and_say_the_other_convention() -> None:
    view = made_up(epsilon=(1.0,))
    chart = charts.fractions(view)
    assert "(98.8 %)" in text(chart)
    lost = losses(view.results())
    own = -np.mean(list(lost[Place(1.0, 0, "year"), Configuration("adafest", 0, 3.0, 0.1)].values()))
    entries = {(row["selection_fraction"], row["line"]): row["mean"] for row in drawn(chart) if "line" in row}
    gains = [row["mean"] for row in drawn(chart) if row.get("line") == "3" and row["selection_fraction"] == 0.1]
    assert gains[0] == pytest.approx(own)
    assert {line for _, line in entries} == {"1", "3", "5"}
    one = MadeUp([row for row in view.results() if row["selection_fraction"] in (0.0, 0.1)])
    assert "one selection fraction in this run, 0.1" in text(charts.fractions(one))


def test_a_gain_is_minus_the_loss_and_needs_its_pair() -> None:
    rows = with_gain([*ada(3.0, 100, [0.01, 0.02]), result(1.0, 5, "adafest", 0.5, threshold=3.0)])
    assert [(row["seed"], row["gain"]) for row in rows] == [(0, pytest.approx(-0.01)), (1, pytest.approx(-0.02))]


def test_maps_are_compared_at_one_fraction() -> None:
    view = made_up(epsilon=(3.0,))
    chart = charts.map_norms(view)
    assert "selection fraction 0.5" in title(chart)
    found = {(row["line"], row["threshold"]) for row in drawn(chart) if "line" in row}
    assert found == {(line, t) for line in ("clipped in L2", "normalised in L1") for t in (1.0, 3.0, 5.0)}
    held = [r["reduction"] for r in view.results() if r["map_norm"] == "l1" and r["threshold"] == 5.0
            and r["selection_fraction"] == 0.5]  # fmt: skip
    drawn_here = [r["mean"] for r in drawn(chart) if r.get("line") == "normalised in L1" and r["threshold"] == 5.0]
    assert drawn_here[1] == pytest.approx(np.mean(held))
    assert "one kind of map in this run" in text(charts.map_norms(made_up(epsilon=(3.0,), norms=("l2",))))


def test_survivors_stand_beside_what_the_noise_alone_lets_through() -> None:
    chart = charts.survivors(made_up(seeds=1))
    rows = [row for row in drawn(chart) if "count" in row]
    expected = (ROWS - TOUCHED) * scipy.stats.norm.sf(3.0)
    counts = {row["count"] for row in rows if row["line"] == "expected from the noise alone"}
    assert any(count == pytest.approx(expected) for count in counts)
    assert any(row["count"] == pytest.approx(expected + 300) for row in rows if row["line"].startswith("noised"))
    assert "touched by the batch (not private)" in text(chart)
    assert "(D - touched) Q(threshold)" in title(chart)
    assert "epsilon 1, seed 0" in title(chart)
    assert "no step of DP-AdaFEST yet" in text(charts.survivors(MadeUp()))


def test_a_stream_is_compared_with_the_shuffled_year() -> None:
    rows = []
    for order, fest in (("year", 0.004), ("months", 0.010)):
        for seed in range(3):
            level = 0.7 + 0.02 * seed
            for name, lost in (("dpsgd", 0.0), ("fest", fest + 0.001 * seed), ("adafest", 0.003)):
                rows.append(result(1.0, seed, name, level - lost, order=order, k=10 * (name == "fest")))
    assert leads(rows, 1.0, "year") == pytest.approx([0.001, 0.002, 0.003])
    assert leads(rows, 1.0, "months") == pytest.approx([0.007, 0.008, 0.009])
    chart = charts.stream(MadeUp(rows, seeds=3))
    assert "DP-AdaFEST minus DP-FEST, year: +0.0020 [-0.0005, +0.0045]; months: +0.0080 [+0.0055, +0.0105]" in text(
        chart
    )
    held = {(row["arm"], row["order"]): row["mean"] for row in drawn(chart) if "order" in row}
    assert held["fest", "months"] == pytest.approx(-0.011)
    assert held["adafest", "year"] == pytest.approx(-0.003)
    assert len(held) == 4
    assert "the test sets differ" in title(chart)
    assert "one order in this run" in text(charts.stream(made_up(seeds=1)))


def test_only_configurations_run_everywhere_are_compared() -> None:
    """The best of the year was not run in the stream: the other stands for both."""
    rows = ada(1.0, 1000, [0.001] * 2) + ada(3.0, 100, [0.003] * 2)
    rows += [row | {"order": "months"} for row in ada(3.0, 100, [0.004] * 2)]
    assert {row["threshold"] for row in comparable(rows, "order") if row["arm"] == "adafest"} == {3.0}
    assert {row["arm"] for row in comparable(rows, "order")} == {"dpsgd", "adafest"}
    held = {
        (row["arm"], row["order"]): row["mean"] for row in drawn(charts.stream(MadeUp(rows, seeds=2))) if "n" in row
    }
    assert held["adafest", "year"] == pytest.approx(-0.003)


def test_a_vocabulary_takes_the_best_of_each_method_there() -> None:
    view = made_up(seeds=2, epsilon=(1.0,), vocabulary=(1000, 0))
    chart = charts.vocabulary(view)
    found = {(row["arm"], row["rows"]): row for row in drawn(chart) if "arm" in row}
    assert set(found) == {
        (name, size) for name in ("dpsgd", "fest", "adafest", "adafest_plus") for size in (1000, ROWS)
    }
    assert {row["n"] for row in found.values()} == {2}
    assert "one vocabulary in this run" in text(charts.vocabulary(made_up(seeds=1)))


def test_noise_on_touched_rows_alone_is_marked_not_private() -> None:
    chart = charts.leaks(made_up(seeds=1))
    rows = {row["line"]: row for row in drawn(chart) if "untouched" in row}
    eana = rows["EANA (not private)"]
    assert (eana["untouched"], eana["touched"], eana["said"]) == (0.0, 1.0, "0, 1: epsilon infinite: NOT PRIVATE")
    assert rows["DP-SGD, dense"]["said"] == "1, 1: epsilon 0 of the step's 4"
    assert rows["DP-AdaFEST: threshold 3, f 0.5"]["untouched"] == pytest.approx(scipy.stats.norm.sf(3.0))
    assert list(rows)[-1] == "EANA (not private)"
    assert "never offered" in title(chart)
    assert "epsilon 8" in title(chart)
    proved = {"epsilon": 1.0, "mechanism": "eana", "changed_untouched": 0.0, "changed_touched": 1.0}
    claimed = charts.leaks(MadeUp(series={"leak": [proved | {"observed_epsilon": 0.5, "step_epsilon": 1.0}]}))
    assert "NOT PRIVATE" in next(row["said"] for row in drawn(claimed) if "untouched" in row)


def test_the_ledger_says_what_embeddings_spend() -> None:
    view = made_up(seeds=2)
    assert [(row["epsilon"], row["alone"]) for row in ledger_rows(view)] == [(e, 0.998 * e) for e in (1.0, 3.0, 8.0)]
    chart = text(charts.ledger(view))
    assert "model with its embedding tables; add/remove one training example; delta 1e-05; PLD; Poisson" in chart
    for listed in (*embeddings_coverage.free(), *embeddings_coverage.not_covered()):
        assert listed.what.split()[0] in chart
    assert "fixed random masks" not in chart


def test_an_interval_of_two_seeds_does_not_hide_the_means() -> None:
    close = [{"mean": 0.0, "low": -0.01, "high": 0.01}, {"mean": 0.1}]
    scale, cut = bounded(close)
    assert scale["domain"][0] < -0.01
    assert cut == ""
    scale, cut = bounded([*close, {"mean": 0.05, "low": -1.0, "high": 1.1}])
    assert -0.2 < scale["domain"][0] < -0.1
    assert 0.2 < scale["domain"][1] < 0.3
    assert cut == "bars that end at the edge of a plot are longer than it"
    assert bounded([])[0]["domain"] == pytest.approx([-0.06, 1.06])
    two = ada(3.0, 100, [-0.02, 0.03])
    assert "bars that end at the edge" in title(charts.reduction(MadeUp(two, seeds=2)))


def test_numbers_in_words() -> None:
    assert [factor(x) for x in (1.0, 1.52, 236.4, 12_345.0, 4e6)] == [
        "1\u00d7", "1.5\u00d7", "240\u00d7", "12,000\u00d7", "4,000,000\u00d7",
    ]  # fmt: skip
    assert [size_words(x) for x in (512, 53_136, 4 * DIM * ROWS, 2.56e10)] == ["512 B", "53 kB", "1.9 MB", "26 GB"]
    assert log_ticks(0.8, 30) == [1.0, 2.0, 5.0, 10.0, 20.0]
    assert log_ticks(5, 3000) == [10.0, 100.0, 1000.0]


def test_arms_have_a_look_of_their_own() -> None:
    names = ["plain", "clipped", "lazydp", "adafest_plus", "adafest", "fest", "dpsgd"]
    assert len({arm(name).colour for name in names}) == len({arm(name).words for name in names}) == 7
    assert in_order(names) == ["dpsgd", "fest", "adafest", "adafest_plus", "lazydp", "clipped", "plain"]
