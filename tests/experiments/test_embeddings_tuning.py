"""Learning rates of notebook 04: tried on a seed that nobody reports, judged on the selection split, and charged."""

from __future__ import annotations

from collections import Counter

import pytest
from small_embeddings import (
    Given,
    checkpoint,
    chunk,
    finish,
    jobs,
    kept,
    lab,
    points,
    recorded,
    results,
    run_until,
    spec,
    told,
)

from labkit.experiments.embeddings import training, tuning
from labkit.experiments.embeddings.lab import draw_label
from labkit.runs import Store, worker

TUNED = {"learning_rate": "tuned", "rates": "1,4,50"}


@pytest.fixture
def begun(monkeypatch) -> list[Given]:
    return recorded(monkeypatch)


def test_each_rate_is_tried_on_another_seed_than_any_that_is_reported(begun):
    told(jobs(**TUNED, method="dpsgd"))
    some = lab()
    stretch = some.ground(some.point(0)).stretches[0]
    label = draw_label(some.point(0), stretch, some.resources.data.fingerprint)
    *tried, last = begun
    assert [given.rate for given in tried] == [1, 4, 50]
    assert {given.draw for given in tried} == {last.plan.draw_key(tuning.SEED, label)}
    assert last.draw == last.plan.draw_key(0, label)
    assert max(spec(seed=2**31 - 1).replicate_seeds()) < tuning.SEED
    assert not (tried[0].start[0] == last.start[0]).all()


@pytest.mark.parametrize("best", [1, 4, 50])
def test_the_rate_with_the_largest_selection_auc_is_taken(begun, monkeypatch, best):
    """And the test split has no say."""
    made = training.evaluated

    def told_of(ground, runs, point):
        rate = runs[-1].dense.rate
        return made(ground, runs, point) | {"selection_auc": 0.9 if rate == best else 0.5, "auc": 0.6 + rate / 1000}

    monkeypatch.setattr(training, "evaluated", told_of)
    (values,) = results(told(jobs(**TUNED, method="dpsgd"))).values()
    assert (values["learning_rate"], values["tuned_rates"], values["tuning_seeds"]) == (best, 3, 1)
    assert begun[-1].rate == best


def test_a_rate_does_not_depend_on_the_points_beside(begun):
    def rates(**changes: object) -> dict[tuple, float]:
        some = jobs(**TUNED | changes)
        found = results(told(some))
        fields = ("epsilon", "method", "threshold")
        return {
            tuple(getattr(job.point, name)[0] for name in fields): found[place]["learning_rate"]
            for place, job in enumerate(some)
        }

    few = rates(threshold="1", method="adafest")
    many = rates(threshold="3,1,2", method="adafest,lazydp", k="5,20", selection_fraction="0.1,0.5,0.9", epsilon="8,3")
    assert all(many[point] == rate for point, rate in few.items())


def test_every_setting_of_a_method_takes_one_rate():
    some = jobs(**TUNED, method="adafest,fest,lazydp,adafest_plus", threshold="1,2", k="5,6", map_norm="l2,l1")
    found = results(told(some))
    kinds: dict[str, set[float]] = {}
    for place, job in enumerate(some):
        kinds.setdefault(job.point.method[0], set()).add(found[place]["learning_rate"])
    assert {len(rates) for rates in kinds.values()} == {1}
    assert kinds["lazydp"] == kinds["dpsgd"]
    assert kinds["adafest_plus"] == kinds["adafest"]


@pytest.mark.parametrize(
    ("method", "kind", "held"),
    [
        ("dpsgd", "dpsgd", (0, 0, 0)),
        ("lazydp", "dpsgd", (0, 0, 0)),
        ("fest", "fest", (0, 0, 300)),
        ("adafest", "adafest", (0.3, 2, 0)),
        ("adafest_plus", "adafest", (0.3, 2, 0)),
    ],
)
def test_what_is_tried_for_whom(method, kind, held):
    for point in spec(method=method, map_norm="l2,l1", order="year,months", threshold="1,7", k="4,9").points():
        if point.method[0] == method:
            like = tuning.tuned_as(point)
            assert (like.method, like.order, like.map_norm) == ((kind,), ("year",), ("l2",))
            assert (like.selection_fraction[0], like.threshold[0], like.k[0]) == held
            assert (like.epsilon, like.vocabulary) == (point.epsilon, point.vocabulary)


def test_what_is_tried_is_charged(begun):
    events = told(jobs(**TUNED, method="lazydp", epsilon="8,plain"))
    rows = points(events, "ledger")
    charged = Counter(place for place, _ in rows)
    assert charged[0] == 4  # three rates and the reported training
    assert charged[2] == 0  # nothing without noise
    assert {row["what"] for _, row in rows} == {"training"}
    groups = Counter(row["group"] for place, row in rows if place == 0)
    assert sorted(groups.values()) == [1, 3]  # rates share their draws, and nothing with the reported training
    assert len({given.noise for given in begun[:4]}) == 4


ALIKE = {"method": "dpsgd,lazydp,adafest,adafest_plus", "threshold": "1,2", "map_norm": "l2,l1", "vocabulary": "0,70"}


def test_a_rate_is_tried_once_for_all_points_that_are_tuned_alike(begun):
    some = jobs(**TUNED | ALIKE)
    alike = {(tuning.tuned_as(job.point).method, job.point.vocabulary) for job in some}
    assert len(alike) == 4  # two kinds of method, two vocabularies
    events = told(some)
    assert len(begun) == 3 * len(alike) + len(some)
    assert len({given.noise for given in begun}) == len(begun)
    rows = [row for _, row in points(events, "ledger")]
    assert len(rows) == len(begun)
    tried = Counter(row["group"] for row in rows if f" {tuning.SEED}, " in row["group"])
    assert list(tried.values()) == [3 * len(alike)]  # all share their draws
    assert {values["tuned_rates"] for values in results(events).values()} == {3}


STOPPED = {"tuning": checkpoint("dpsgd", 2), "a rate": chunk("dpsgd"), "kind": checkpoint("adafest", 4),
           "after": chunk("adafest_plus"), "lazydp": checkpoint("lazydp", 3)}  # fmt: skip


@pytest.mark.parametrize("place", STOPPED)
def test_a_tuned_run_that_was_stopped_has_the_same_ledger(tmp_path, begun, monkeypatch, place):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(training, "STRIDE", 1)
    changes = {"method": "adafest,adafest_plus,lazydp", "learning_rate": "tuned", "rates": "1,3"}
    with Store(tmp_path / "whole") as store:
        whole = kept(finish(store, **changes))
    assert len(whole[1]["ledger"]) == len(begun) == 2 * 2 + 4
    begun.clear()
    with Store(tmp_path / "stopped") as store:
        assert run_until(store, STOPPED[place], **changes)
        assert kept(finish(store, **changes)) == whole
    assert len(begun) <= 2 * 2 + 4 + 1  # what was stopped alone is begun twice


def test_what_is_tried_is_shown_nowhere_else():
    events = told(jobs(**TUNED, method="adafest"))
    plain = told(jobs(method="adafest"))
    for series in ("curve", "survivors", "spent", "leak"):
        assert len(points(events, series)) == len(points(plain, series))


def test_a_number_is_taken_as_it_is(begun):
    values = results(told(jobs(method="dpsgd", learning_rate=3.0)))[0]
    assert values["learning_rate"] == 3.0
    assert not {"tuned_rates", "tuning_seeds"} & values.keys()
    assert len(begun) == 1


def test_rates_each_once():
    assert spec(rates="1, 2,1,,4").tried_rates() == (1, 2, 4)
