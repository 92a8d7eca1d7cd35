"""What notebook 04 says and stores: arms, values, series, and the same numbers whoever is run beside."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_embeddings import (
    EXPERIMENT,
    chunks,
    jobs,
    lab,
    points,
    resources,
    results,
    spec,
    table,
    timeless,
    told,
)  # fmt: skip

from labkit.embeddings.survivors import expected_false
from labkit.experiments.embeddings import training
from labkit.runs.events import Chunk, Progress, Result

ROWS, DIM, STEPS, N = 400, 2, 4, 420
EPSILONS = "8,clipped,plain,2"
ALWAYS = {
    "auc", "auc_error", "selection_auc", "log_loss", "test_rows", "rows", "dim", "survivors", "reduction",
    "gradient_bytes", "dense_bytes", "seconds_per_step", "steps", "sample_rate", "learning_rate", "unit",
    "noise_source", "not_private_clipped", "not_private_dropped",
}  # fmt: skip
SPENT = {"epsilon_spent", "delta", "accountant", "noise_multiplier", "executions"}


@pytest.fixture(scope="module")
def together():
    some = jobs(epsilon=EPSILONS, map_norm="l2,l1", vocabulary="0,70")
    return some, told(some)


def named(together) -> dict[tuple, dict]:
    """Each result by its epsilon, method, norm and vocabulary."""
    some, events = together
    found = results(events)
    assert sorted(found) == list(range(len(some)))
    fields = ("epsilon", "method", "map_norm", "vocabulary")
    return {tuple(getattr(job.point, n)[0] for n in fields): found[place] for place, job in enumerate(some)}


def test_the_arm_is_the_method_or_the_word(together):
    for (epsilon, method, _, _), values in named(together).items():
        assert values["arm"] == (epsilon if isinstance(epsilon, str) else method)
    assert len([event for _, event in together[1] if isinstance(event, Result)]) == len(together[0])


def test_what_a_result_says(together):
    for (epsilon, method, _, vocabulary), values in named(together).items():
        private = not isinstance(epsilon, str)
        assert values.keys() >= ALWAYS
        assert all(math.isfinite(value) for value in values.values() if isinstance(value, float))
        assert 0 < values["auc"] < 1
        assert 0 < values["selection_auc"] < 1
        assert 0 < values["auc_error"] < 0.1
        assert values["log_loss"] > 0
        assert (values["test_rows"], values["steps"], values["dim"]) == (120, STEPS, DIM)
        assert values["rows"] == (ROWS if not vocabulary else sum(lab(vocabulary="70").ground(
            spec(vocabulary="70").points()[0]).split.sizes))  # fmt: skip
        assert values["sample_rate"] == pytest.approx(64 / N)
        assert (values.keys() >= SPENT) == private
        assert bool(SPENT & values.keys()) == private
        assert ("clip_norm" in values) == (epsilon != "plain")
        assert ("map_clip_norm" in values) == (method in ("adafest", "adafest_plus"))
        assert ("expected_false" in values) == (method in ("adafest", "adafest_plus"))
        assert ("frequency" in values) == (method in ("fest", "adafest_plus"))
        assert not {"tuned_rates", "tuning_seeds"} & values.keys()


def test_what_was_spent(together):
    for (epsilon, _, _, _), values in named(together).items():
        if not isinstance(epsilon, str):
            assert 0.99 * epsilon < values["epsilon_spent"] <= epsilon
            assert (values["delta"], values["executions"]) == (1e-5, 1)
            assert values["noise_multiplier"] > 0


def test_reduction_and_bytes_by_hand(together):
    found = named(together)
    for values in found.values():
        assert values["reduction"] == pytest.approx(values["rows"] / values["survivors"])
        assert values["gradient_bytes"] == pytest.approx(values["survivors"] * (4 * DIM + 8))
        assert values["dense_bytes"] == values["rows"] * 4 * DIM
    assert found[8.0, "dpsgd", "l2", 0]["survivors"] == found[8.0, "lazydp", "l2", 0]["survivors"] == ROWS
    sizes = table().sizes
    kept = sum(min(5, size) for size in sizes)
    assert found[8.0, "fest", "l2", 0]["survivors"] == kept
    assert found[8.0, "adafest_plus", "l2", 0]["survivors"] < kept
    assert kept < found[8.0, "adafest", "l2", 0]["survivors"] < ROWS


def test_the_two_maps_choose_differently(together):
    """An L1 map lifts each of 26 rows by a fifth of what an L2 map does: fewer touched rows survive."""
    found = named(together)
    assert found[8.0, "adafest", "l1", 0]["survivors"] < 0.7 * found[8.0, "adafest", "l2", 0]["survivors"]


def test_expected_false_by_hand(together):
    values = named(together)[8.0, "adafest", "l2", 0]
    assert values["expected_false"] == pytest.approx((ROWS - values["not_private_touched"]) * 0.15865525)


def test_the_baseline_differs_from_what_is_noised_less(together):
    found = named(together)
    losses = [
        values["log_loss"] for (epsilon, _, norm, v), values in found.items() if (epsilon, norm, v) == (8.0, "l2", 0)
    ]
    assert len(set(losses)) == len(losses) == 5
    assert found["clipped", "dpsgd", "l2", 0]["log_loss"] != found["plain", "dpsgd", "l2", 0]["log_loss"]
    assert (
        found["plain", "dpsgd", "l2", 0]["not_private_clipped"]
        == 0
        < found["clipped", "dpsgd", "l2", 0]["not_private_clipped"]
    )


@pytest.mark.parametrize("place", range(0, 16, 3))
def test_a_point_alone_has_the_numbers_that_it_has_beside_others(together, place):
    some, events = together
    (alone,) = [e for e in EXPERIMENT.run(some[place].point, 0, resources()) if isinstance(e, Result)]
    assert timeless({"arm": alone.arm, **alone.values}) == timeless(results(events)[place])


def test_the_curve_draws_the_year_and_the_whole_vocabulary(together):
    some, events = together
    drawn = {place for place, _ in points(events, "curve")}
    assert drawn == {
        place for place, job in enumerate(some) if job.point.map_norm[0] == "l2" and not job.point.vocabulary[0]
    }
    for place in drawn:
        own = [row for at, row in points(events, "curve") if at == place]
        assert [(row["step"], row["steps"]) for row in own] == [(2, STEPS), (STEPS, STEPS)]
        assert {row["arm"] for row in own} == {results(events)[place]["arm"]}
        assert own[-1]["selection_auc"] == results(events)[place]["selection_auc"]
        assert {row["order"] for row in own} == {"year"}


def test_the_legend_names_what_is_drawn():
    shown = EXPERIMENT.spec.of(epsilon="8,plain", method="adafest", order="months,year", vocabulary="1000,0")
    assert EXPERIMENT.live["arms"](shown) == []  # the year is beside the months, the vocabulary as it is beside 1000
    shown = shown.changed(order="year", vocabulary="0")
    assert EXPERIMENT.live["arms"](shown) == ["dpsgd", "adafest", "plain"]


def test_the_gauge_shows_what_dpsgd_spends(together):
    gauge = points(together[1], "spent")
    assert [(row["step"], row["target"]) for _, row in gauge] == [(2, 8), (4, 8), (2, 2), (4, 2)]
    assert all(row["epsilon_spent"] <= row["target"] for _, row in gauge)
    assert gauge[0][1]["epsilon_spent"] < gauge[1][1]["epsilon_spent"]
    assert gauge[0][1]["plan"] == "a model of epsilon 8"


def test_survivors_step_by_step(together):
    some, events = together
    rows = points(events, "survivors")
    assert {some[place].point.method[0] for place, _ in rows} == {"adafest", "adafest_plus"}
    for place, values in results(events).items():
        own = [row for at, row in rows if at == place]
        if own:
            assert [row["step"] for row in own] == [1, 2, 3, 4]
            assert np.mean([row["survivors"] for row in own]) == pytest.approx(values["survivors"])
            trained = values["rows"] if some[place].point.method[0] == "adafest" else 94
            if values["rows"] == ROWS:
                for row in own:
                    alone = expected_false(trained, row["not_private_touched"], 1.0)
                    assert row["expected_false"] == pytest.approx(alone)


def test_what_an_observer_of_moved_rows_learns(together):
    some, events = together
    rows = [row for place, row in points(events, "leak") if some[place].point.epsilon[0] == 8.0]
    told_of = {row["mechanism"]: row for row in rows}
    assert len(told_of) == len(rows) == 6
    assert set(told_of) == {"dpsgd", "eana", "fest", "adafest", "adafest_plus", "lazydp"}
    eana = told_of["eana"]
    assert (eana["changed_untouched"], eana["changed_touched"], "observed_epsilon" in eana) == (0, 1, False)
    assert told_of["adafest"]["changed_untouched"] == pytest.approx(0.15865525)
    for name in set(told_of) - {"eana"}:
        assert told_of[name]["observed_epsilon"] <= told_of[name]["step_epsilon"]
    assert {some[place].point.epsilon[0] for place, _ in points(events, "leak")} == {8.0, 2.0}


def test_the_ledger_has_a_row_for_each_private_training(together):
    some, events = together
    rows = points(events, "ledger")
    assert [place for place, _ in rows] == [
        p for p, job in enumerate(some) if not isinstance(job.point.epsilon[0], str)
    ]
    for place, row in rows:
        said = results(events)[place]
        assert (row["what"], row["networks"], row["steps"]) == ("training", 1, STEPS)
        assert all(row[name] == said[name] for name in ("noise_multiplier", "sample_rate", "delta"))
    assert len({row["group"] for _, row in rows}) == 1  # paired: all of them share their batches


def test_what_is_not_private_says_so(together):
    for values in named(together).values():
        for name in values:
            assert (name in EXPERIMENT.not_private) == name.startswith("not_private_"), name


def test_progress_rises_to_its_end(together):
    done = [event for _, event in together[1] if isinstance(event, Progress)]
    assert [event.done for event in done] == sorted(event.done for event in done)
    assert done[-1].done == pytest.approx(done[-1].total)


def test_results_come_last_and_rows_before_the_chunk_that_silences_them(together):
    events = [event for _, event in together[1] if not isinstance(event, Progress)]
    ends = [isinstance(event, Result) for event in events]
    assert ends == sorted(ends)
    for place in range(len(together[0])):
        own = [event for at, event in together[1] if at == place and not isinstance(event, Progress)]
        kinds = [getattr(event, "series", "") or type(event).__name__ for event in own]
        finished = kinds.index("Chunk")
        assert not {"ledger", "survivors", "curve", "spent"} & set(kinds[finished:])


def test_what_is_finished_is_not_done_again_and_nothing_changes(together, monkeypatch):
    some, events = together
    monkeypatch.setattr(training, "EmbeddingTrainer", None)  # nobody may train
    again = told(some, chunks=chunks(events))
    assert results(again) == results(events)
    assert not [event for _, event in again if isinstance(event, Chunk)]
    assert [points(again, series) for series in ("curve", "ledger", "survivors", "spent")] == [[], [], [], []]


def test_another_seed_is_another_run(together):
    other = results(told(jobs(epsilon="8", seed=1)))
    for place, values in other.items():
        same = named(together)[8.0, jobs(epsilon="8")[place].point.method[0], "l2", 0]
        assert values["log_loss"] != same["log_loss"]


def test_the_test_split_never_selects(together, monkeypatch):
    """With the test part in place of the selection part only what is found on it changes, and FEST's public counts."""
    held = lab().ground(jobs()[0].point).split
    changed = type(held)(**(vars(held) | {"test": held.selection}))
    monkeypatch.setattr("labkit.experiments.embeddings.lab.split_table", lambda *given: changed)
    swapped = results(told(jobs(epsilon="8")))
    for place, job in enumerate(jobs(epsilon="8")):
        said = named(together)[8.0, job.point.method[0], "l2", 0]
        assert swapped[place]["selection_auc"] == said["selection_auc"] == swapped[place]["auc"] != said["auc"]
        assert swapped[place]["test_rows"] == len(held.selection)
