"""Charts of private sparse fine-tuning from rows made by hand: paired by seed, judged in families, counted once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_finetune import LAYERS, SIGMA, MadeUp, landscape, made_up, result

from labkit import charts
from labkit.charts import finetune_coverage
from labkit.charts.finetune_noise import noise_entries
from labkit.charts.finetune_rows import (
    METHODS,
    PANELS,
    Setting,
    count_words,
    main_rows,
    once,
    paired,
    panels_of,
    setting_words,
)
from labkit.charts.finetune_verdicts import declared, judged, judged_sparsities
from labkit.charts.frontier_ledger import ledger_rows
from labkit.charts.theme import arm
from labkit.experiments.finetune import spec as finetune
from labkit.stats import judge_family, mean_interval

GAIN = [0.010, 0.014, 0.012, 0.008, 0.011]


def everything(spec: Any, key: str) -> list[Any]:
    """All values of a key, anywhere in a specification."""
    if isinstance(spec, dict):
        return [v for k, v in spec.items() if k == key] + [f for v in spec.values() for f in everything(v, key)]
    return [f for v in spec for f in everything(v, key)] if isinstance(spec, list) else []


def drawn(chart: Any) -> list[dict]:
    """Every row that a chart embeds, once."""
    spec = chart.to_dict()
    sets = list(spec.get("datasets", {}).values()) + [v for v in everything(spec, "values") if isinstance(v, list)]
    rows = [row for found in sets for row in found if isinstance(row, dict)]
    return [json.loads(text) for text in dict.fromkeys(json.dumps(row, sort_keys=True) for row in rows)]


def text(chart: Any) -> str:
    return json.dumps(chart.to_dict(), ensure_ascii=False)


def title(chart: Any) -> str:
    return " ".join(chart.to_dict()["title"].get("subtitle", []))


def level(seed: int) -> float:
    return 0.80 + 0.02 * seed


def gained(method: str, gain: list[float], epsilon: Any = 2.0, **rest: Any) -> list[dict]:
    """A method that gains so much on `level`, seed by seed."""
    return [result(epsilon, seed, method, level(seed) + held, **rest) for seed, held in enumerate(gain)]


def some(*rows: dict, **spec: Any) -> MadeUp:
    methods = ",".join(name for name in METHODS if any(row["method"] == name for row in rows))
    return MadeUp(list(rows), spec={"epsilon": "2", "method": methods or "random"} | spec)


def test_the_charts_know_the_methods_of_the_spec() -> None:
    assert set(METHODS) == set(finetune.METHODS)
    assert {name for name in METHODS if Setting.of(result(2.0, 0, name, 0.8)).sparsity} == set(finetune.ROWS)
    assert {name for names in PANELS.values() for name in names} == set(METHODS)
    assert len({arm(name).words for name in METHODS}) == len(METHODS)
    for names in PANELS.values():
        assert len({arm("random-rows" if name == "random" else name).colour for name in names}) == len(names)


def test_a_setting_holds_what_its_method_reads() -> None:
    row = result(2.0, 0, "sparta", 0.8, sparsity=0.9, scope="global", warmup=2.0)
    assert Setting.of(row).words == "90 % frozen, over all layers, after 2 epochs"
    assert Setting.of(row | {"arm": "magnitude"}) == Setting("magnitude", 0.9, "global", 0.0)
    assert Setting.of(row | {"arm": "lora"}) == Setting("lora")
    assert Setting.of(row | {"arm": "lora"}).words == ""
    assert Setting("sparta", 0.8, "layer", 1.0).words == "80 % frozen, per layer, after 1 epoch"


def test_a_training_told_at_several_grid_points_counts_once() -> None:
    rows = [result(2.0, seed, "head", 0.8, scope=scope) for scope in ("layer", "global") for seed in range(2)]
    assert [(row["seed"], row["scope"]) for row in once(rows)] == [(0, "layer"), (1, "layer")]
    assert len(once([*rows, rows[0] | {"epsilon": 8.0}])) == 3


def test_the_main_rows_are_of_the_specs_first_values() -> None:
    rows = [*gained("random", GAIN), *gained("random", GAIN, sparsity=0.5), *gained("sparta", GAIN, warmup=2.0)]
    rows += [*gained("random", GAIN, scope="global"), *gained("head", GAIN)]
    view = some(*rows, sparsity="0.8,0.5", scope="layer,global", warmup="0,2")
    assert [(row["arm"], row["seed"]) for row in main_rows(view)] == [
        (name, seed) for name in ("random", "head") for seed in range(5)
    ]
    other = some(*rows, sparsity="0.5,0.8")
    assert {(row["arm"], row["sparsity"]) for row in main_rows(other)} == {("random", 0.5), ("head", 0.0)}
    assert setting_words(view) == "rows: 80 % of the weights frozen, chosen layer by layer"
    late = some(scope="global", warmup="2")
    assert setting_words(late).endswith("chosen over all layers together; SPARTA looks after 2 epochs")


def test_pairs_are_of_one_seed_by_hand() -> None:
    one, other = gained("sparta", [0.03, 0.01]), gained("random", [0.01])
    assert paired(one, other) == pytest.approx({0: 0.02})
    assert paired(one, []) == {}


def test_the_order_is_by_accuracy_and_the_bars_are_paired_with_random_rows() -> None:
    rows = [*gained("random", [0.0] * 5), *gained("sparta", GAIN), *gained("all", [-0.02] * 5), *gained("head", GAIN)]
    chart = charts.finetune_ordered(some(*rows))
    entries = [row for row in drawn(chart) if "moves" in row]
    names = ["head only", "SPARTA, |sum|", "random rows", "all weights"]
    assert names in everything(chart.to_dict(), "sort")
    sparta = next(row for row in entries if row["method"] == "sparta")
    reference, middle = np.mean([level(seed) for seed in range(5)]), np.mean(GAIN)
    assert sparta["mean"] == pytest.approx(reference + middle)
    assert (sparta["low"], sparta["high"]) == pytest.approx(tuple(reference + np.array(mean_interval(GAIN))))
    random = next(row for row in entries if row["method"] == "random")
    assert "low" not in random
    assert random["mean"] == pytest.approx(reference)
    assert random["word"] == "free: no look at the data"
    assert (sparta["moves"], sparta["sigma"]) == ("2,570", f"{SIGMA[2.0] * 1.006:.3f}")
    assert "difference to random rows, paired by seed" in title(chart)
    assert "standard error of 0.012" in title(chart)


def test_the_ordered_figure_holds_the_verdicts_against_random_rows() -> None:
    view = made_up()
    words = {c.one: c.verdict.word for c in judged(view)["random"] if c.fields["epsilon"] == view.spec.focus()}
    entries = [row for row in drawn(charts.finetune_ordered(view)) if "moves" in row]
    assert {row["method"]: row["word"] for row in entries if row["method"] != "random"} == words
    assert "Holm over all 33 comparisons" in title(charts.finetune_ordered(view))


def test_few_seeds_are_said_and_one_has_no_interval() -> None:
    one = charts.finetune_ordered(some(*gained("random", [0.0]), *gained("all", [0.01]), seeds=1))
    assert not [row for row in drawn(one) if "low" in row]
    assert "one seed: points without intervals" in title(one)
    assert "a verdict needs 5 paired seeds, there is 1: undecided" in title(one)
    two = some(*gained("random", [0.0] * 2), *gained("all", [0.01, 0.02]), seeds=2)
    assert "a verdict needs 5 paired seeds, there are 2: undecided" in title(charts.finetune_verdicts(two))
    assert {row["word"] for row in charts.finetune_verdict_rows(two)} == {"undecided"}
    without = charts.finetune_ordered(some(*gained("all", GAIN)))
    assert "no random rows to compare with so far" in title(without)


def test_every_method_is_judged_against_each_reference_in_a_family_of_its_own() -> None:
    losing = [-held for held in GAIN]
    rows = [*gained("random", [0.0] * 5), *gained("sparta", GAIN), *gained("all", losing), *gained("head", [0.0] * 5)]
    found = judged(some(*rows))
    assert {name: [c.one for c in family] for name, family in found.items()} == {
        "all": ["head", "random", "sparta"], "head": ["all", "random", "sparta"], "random": ["all", "head", "sparta"],
    }  # fmt: skip
    sparta = found["random"][2]
    assert sparta.differences == pytest.approx(GAIN)
    by_hand = judge_family({"all": losing, "head": [0.0] * 5, "sparta": GAIN}, 0.01)
    assert [c.verdict.word for c in found["random"]] == [held.word for held in by_hand.values()]
    assert sparta.verdict.p_value == pytest.approx(by_hand["sparta"].p_value)
    assert found["all"][2].differences == pytest.approx([2 * held for held in GAIN])


def test_all_that_is_planned_is_of_the_family_before_it_is_finished() -> None:
    rows = [*gained("random", [0.0] * 5), *gained("sparta", GAIN)]
    view = MadeUp(rows, spec={"epsilon": "2,8", "method": "random,sparta,all"})
    (sparta,) = (c for c in judged(view)["random"] if c.verdict.n)
    assert len(judged(view)["random"]) == 4
    alone = judge_family({"sparta": GAIN}, 0.01)["sparta"].p_value
    assert sparta.verdict.p_value == pytest.approx(4 * alone)
    assert len(declared(view)) == 6


def test_nothing_is_judged_before_all_seeds_are_finished() -> None:
    rows = [*gained("random", [0.0] * 5), *gained("sparta", GAIN)]
    (row,) = charts.finetune_verdict_rows(some(*rows, seeds=7))[:1]
    assert (row["word"], row["text"]) == ("undecided", "undecided: 5 of 7 seeds are finished")
    assert row["mean"] == f"{np.mean(GAIN):+.4f}"
    looked = MadeUp(rows, spec={"epsilon": "2", "method": "random,sparta"}, planned={3, 5})
    assert judged(looked)["random"][0].verdict.level == pytest.approx(1 - 0.05 / 4)


def test_over_sparsity_rows_meet_random_rows_of_the_same_sparsity() -> None:
    rows = [*gained("all", [0.0] * 5), *gained("head", [-0.05] * 5)]
    for sparsity, lost in ((0.8, 0.0), (0.95, -0.03)):
        rows += gained("random", [lost] * 5, sparsity=sparsity)
        rows += gained("sparta", [lost + held for held in GAIN], sparsity=sparsity)
    view = some(*rows, sparsity="0.8,0.95", scope="layer,global", warmup="0,2")
    found = judged_sparsities(view)
    at = {c.fields["sparsity"]: c for c in found["random"]}
    assert set(at) == {0.8, 0.95}
    assert at[0.95].differences == pytest.approx(GAIN)
    assert {(c.one, c.fields["sparsity"]): c.verdict.mean for c in found["all"]} == pytest.approx(
        {("random", 0.8): 0.0, ("random", 0.95): -0.03, ("sparta", 0.8): 0.011, ("sparta", 0.95): -0.019}
    )
    assert len(found["head"]) == 4
    assert {row["where"] for row in charts.finetune_verdict_rows(view) if row["family"] == "by sparsity"} == {
        "epsilon 2, 80 % frozen", "epsilon 2, 95 % frozen",
    }  # fmt: skip
    assert "random rows of the same sparsity" in title(charts.finetune_sparsity_verdicts(view))
    assert "fewer than two sparsities" in text(charts.finetune_sparsity_verdicts(some(*rows)))


def test_random_rows_alone_have_nothing_to_be_compared_with() -> None:
    view = some(*gained("random", GAIN))
    assert charts.finetune_verdict_rows(view) == []
    assert "random rows stand alone" in text(charts.finetune_verdicts(view))
    assert [row["line"] for row in drawn(charts.finetune_ordered(view)) if "moves" in row] == ["random rows"]


def test_an_epsilon_is_drawn_with_its_interval_and_words_beyond_the_gap() -> None:
    chart = charts.finetune_epsilons(made_up(method="all,random,sparta"))
    entries = {(row["arm"], row["epsilon"]): row for row in drawn(chart) if "arm" in row}
    assert set(entries) == {(n, e) for n in ("all", "random-rows", "sparta") for e in ("1", "8", "plain")}
    held = [row["test_accuracy"] for row in made_up(method="all,random,sparta").results()
            if row["arm"] == "random" and row["epsilon"] == 8.0]  # fmt: skip
    one = entries["random-rows", "8"]
    assert (one["mean"], one["low"], one["high"]) == pytest.approx((np.mean(held), *mean_interval(held)))
    assert "clipped: no noise; plain" in title(chart)


def test_at_a_single_epsilon_the_methods_stand_side_by_side() -> None:
    chart = charts.finetune_epsilons(made_up(method="all,random,sparta", epsilon="2,plain", seeds=2))
    places = {row["arm"]: row["at"] for row in drawn(chart) if row.get("epsilon") == "2"}
    assert places["all"] < places["random-rows"] == 1.0 < places["sparta"]
    several = charts.finetune_epsilons(made_up(method="all,random,sparta", epsilon="2,4", seeds=2))
    assert {row["at"] for row in drawn(several) if row.get("epsilon") == "2"} == {1.0}


def test_many_methods_are_drawn_in_panels_that_share_two() -> None:
    assert panels_of(["random", "sparta", "all"]) == {"": ["all", "random", "sparta"]}
    split = panels_of(METHODS)
    assert list(split) == list(PANELS)
    assert all({"all", "random"} <= set(own) for own in split.values())
    readings = panels_of(["all", "random", "magnitude", "sparta", "sparta_abs", "sparta_noisy", "sparta_norm"])
    assert list(readings) == list(PANELS)[1:]


@settings(max_examples=50, deadline=None)
@given(st.sets(st.sampled_from(METHODS), min_size=1))
def test_every_method_has_a_panel(methods: set[str]) -> None:
    split = panels_of(methods)
    assert {name for own in split.values() for name in own} == methods
    assert all(len(own) <= 6 for own in split.values())


def test_sparsity_draws_rows_as_lines_and_what_is_fixed_across() -> None:
    rows = [*gained("all", GAIN), *gained("head", [-0.05] * 5), *gained("lora", GAIN)]
    for sparsity in (0.8, 0.95):
        rows += gained("random", [sparsity / 10] * 5, sparsity=sparsity)
    rows += gained("random", [0.5] * 5, scope="global") + gained("random", [0.5] * 5, epsilon=8.0)
    view = some(*rows, sparsity="0.8,0.95", scope="layer,global", epsilon="2,8")
    chart = charts.finetune_sparsity(view)
    found = {(row["arm"], row.get("sparsity")): row["mean"] for row in drawn(chart) if "arm" in row}
    reference = np.mean([level(seed) for seed in range(5)])
    assert found == pytest.approx({
        ("all", 0.0): reference + np.mean(GAIN), ("head", None): reference - 0.05,
        ("random-rows", 0.8): reference + 0.08, ("random-rows", 0.95): reference + 0.095,
    })  # fmt: skip
    assert {row["kept"] for row in drawn(chart) if "kept" in row} == {1.0, 0.2, 0.05}
    assert "share of weights frozen" in text(chart)
    assert "one sparsity in this run, 0.8" in text(charts.finetune_sparsity(some(*gained("random", GAIN))))


def test_agreement_stands_beside_chance_and_is_not_private() -> None:
    chart = charts.finetune_agreement(made_up())
    entries = {(row["arm"], row["epsilon"]): row["mean"] for row in drawn(chart) if "arm" in row}
    assert entries["sparta_norm", "1"] == pytest.approx(0.2 + 0.8 * 0.3)
    assert entries["sparta_norm", "plain"] == pytest.approx(1.0)
    assert {name for name, _ in entries} == {*finetune.CHOOSING}
    assert [row["mean"] for row in drawn(chart) if "said" in row] == [0.2]
    assert "chance 20 %" in text(chart)
    assert title(chart).startswith("not private: ")
    assert "no method that pays" in text(charts.finetune_agreement(some(*gained("random", GAIN))))
    wide = [result(2.0, seed, "sparta", 0.8, not_private_overlap=held) for seed, held in enumerate((0.1, 0.9))]
    (entry,) = (row for row in drawn(charts.finetune_agreement(some(*wide, seeds=2))) if "arm" in row)
    assert (entry["low"], entry["high"]) == (0.0, 1.0)


def test_the_price_of_a_choice_is_a_share_of_sigma() -> None:
    rows = [*gained("sparta", GAIN), *gained("sparta_abs", GAIN), *gained("search", GAIN), *gained("random", GAIN)]
    entries = {entry["line"]: entry for entry in noise_entries(rows)}
    assert set(entries) == {"search over masks", "SPARTA, 2 readings"}
    search = entries["search over masks"]
    assert (search["sigma"], search["without"]) == pytest.approx((1.02 * SIGMA[2.0], SIGMA[2.0]))
    assert search["more"] == pytest.approx(0.02)
    assert entries["SPARTA, 2 readings"]["methods"] == ["sparta", "sparta_abs"]
    chart = charts.finetune_noise(made_up())
    assert "SPARTA, every reading: 0.6 % more noise" in title(chart)
    assert {row["sigma"] for row in drawn(chart) if row["line"] == "without a choice"} == {SIGMA[1.0], SIGMA[8.0]}
    assert noise_entries(gained("sparta", GAIN, epsilon="plain")) == []


def test_scopes_and_warm_ups_are_paired_with_the_main_setting() -> None:
    rows = [*gained("random", [0.0] * 5), *gained("random", GAIN, scope="global"), *gained("head", GAIN)]
    rows += [*gained("sparta", GAIN), *gained("sparta", [0.0] * 5, warmup=2.0)]
    view = some(*rows, scope="layer,global", warmup="0,2")
    entries = [row for row in drawn(charts.finetune_scopes(view)) if "ink" in row]
    assert [(row["line"], row["mean"]) for row in entries] == [
        ("random rows", pytest.approx(np.mean(GAIN))), ("SPARTA, |sum|", pytest.approx(-np.mean(GAIN))),
    ]  # fmt: skip
    assert (entries[0]["low"], entries[0]["high"]) == pytest.approx(mean_interval(GAIN))
    assert entries[0]["said"] == f"{0.84:.3f} to {0.84 + np.mean(GAIN):.3f}"
    assert "SPARTA looks after 2 epochs, not at the start" in text(charts.finetune_scopes(view))
    assert "one scope and one warm-up" in text(charts.finetune_scopes(some(*gained("random", GAIN))))


def test_the_table_holds_every_setting_in_words() -> None:
    rows = [*gained("random", GAIN, moving=2570 + LAYERS // 5), *gained("sparta", GAIN, sparsity=0.95)]
    random, sparta = charts.finetune_rows(some(*rows, sparsity="0.8,0.95"))
    held = [row["test_accuracy"] for row in rows[:5]]
    low, high = mean_interval(held)
    assert random["accuracy"] == f"{np.mean(held):.4f} [{low:.3f}, {high:.3f}]"
    assert (random["moving"], random["frozen"], random["sigma"]) == ("107 k", "80 %", "1.100")
    assert (random["without"], sparta["without"]) == ("", "1.100")
    assert sparta["setting"] == "95 % frozen, per layer"
    shown = charts.finetune_table(some(*rows, sparsity="0.8,0.95"))
    assert "SPARTA" not in json.dumps([row for row in drawn(shown) if row.get("weight") == "bold"])
    one = charts.finetune_table(some(result(2.0, 0, "random", 0.8), seeds=1))
    assert "one seed: numbers without intervals" in title(one)


def test_the_landscape_marks_three_places_and_is_not_private() -> None:
    chart = charts.finetune_landscape(made_up(seeds=1))
    marks = [(row["x"], row["y"], row["text"]) for row in drawn(chart) if "text" in row]
    assert marks == [(0.0, 0.0, "1"), (1.0, 0.0, "2"), (1.0, 1.0, "3")]
    assert title(chart).startswith("not private: ")
    assert "epsilon 1, seed 0; SPARTA, |sum|: 80 % frozen, per layer" in title(chart)
    cells = [row for row in drawn(chart) if "loss" in row]
    assert len(cells) == landscape()["loss"].size
    assert "no finished run yet" in text(charts.finetune_landscape(MadeUp()))


def test_the_landscape_is_drawn_at_the_middle_epsilon() -> None:
    far = landscape() | {"loss": 2 * landscape()["loss"]}
    arrays = {(1.0, "sparta", 0.8, 0): far, (2.0, "sparta", 0.8, 0): landscape()}
    view = MadeUp(spec={"epsilon": "1,2,8", "method": "sparta"}, arrays=arrays)
    assert "epsilon 2, seed 0" in title(charts.finetune_landscape(view))


def test_the_ledger_counts_a_training_without_a_choice() -> None:
    rows = [*gained("sparta", GAIN, epsilon_spent=1.5), *gained("random", GAIN), *gained("random", GAIN, epsilon=8.0)]
    assert [(row["epsilon"], row["alone"]) for row in ledger_rows(some(*rows, epsilon="2,8"))] == [
        (2.0, 0.998 * 2), (8.0, 0.998 * 8),
    ]  # fmt: skip
    (tuned,) = ledger_rows(some(result(2.0, 0, "random", 0.8, tuned_rates=4)))
    assert tuned["tried"] == 4
    assert tuned["charged"] > tuned["alone"]
    chart = text(charts.ledger(made_up(seeds=2)))
    assert "fine-tuned network, the choice of its rows included; add/remove one training example" in chart
    for listed in (*finetune_coverage.free(), *finetune_coverage.not_covered()):
        assert listed.what.split()[0] in chart
    assert "fixed random masks" not in chart


def test_counts_in_words() -> None:
    assert [count_words(n) for n in (2570, 9999, 12_345, 107_428, 812_345, 5_300_000, 53_000_000)] == [
        "2,570", "9,999", "12.3 k", "107 k", "812 k", "5,300 k", "53 M",
    ]  # fmt: skip
