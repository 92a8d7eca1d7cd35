"""A year and a stream in one Spec of notebook 04: what each costs beforehand, and persons, who are in no one month."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from small_embeddings import EXPERIMENT, composed, finish, spec, write_months

from labkit.data.tables import load_table
from labkit.errors import BadInput
from labkit.experiments.embeddings.lab import plans_of
from labkit.experiments.embeddings.limits import possible, shape
from labkit.runs import Store

MONTHS = (100, 60, 180, 60)  # the last one is the test part; the second costs most
OWN = {"vocabulary": "20", "k": "2", "batch_size": 12, "epochs": 2.0, "epsilon": "3"}
PERSONS = OWN | {"unit": "person", "max_examples": 2, "batch_size": 8}
WHY = "a person is in several months, which then do not compose in parallel"


@pytest.fixture
def own(tmp_path) -> Path:
    return write_months(tmp_path / "own.csv", MONTHS, people=40)


@pytest.mark.parametrize("order", ["months", "year,months", "months,year"])
def test_a_stream_is_said_to_cost_what_its_dearest_month_does(own, order):
    asked, data = spec(**OWN | {"data": str(own), "order": order}), load_table(str(own), b"key")
    said = EXPERIMENT.costs(asked, data)
    found = {name: float(cost) for name, cost in re.findall(r"order (\w+)\) (\S+) \(noise multiplier", said)}
    assert set(found) == set(order.split(","))
    (point,) = (p for p in asked.points() if (p.order, p.method) == (("months",), ("dpsgd",)))
    plans = plans_of(point, shape(point, data)[0])
    costs = [composed(plan) for plan in plans]
    assert max(costs) == costs[1] > 1.02 * costs[0]  # not the first
    assert found["months"] == pytest.approx(costs[1], rel=2e-3)
    assert all(0.99 * 3 < cost <= 3 for cost in found.values())


def test_a_stream_without_noise_costs_nothing_that_is_said(own):
    data = load_table(str(own), b"key")
    said = EXPERIMENT.costs(spec(**OWN | {"data": str(own), "order": "months", "epsilon": "plain,3"}), data)
    assert said.count("noise multiplier") == 1
    assert "none for plain" in said


@pytest.mark.parametrize("order", ["year,months", "months,year"])
def test_persons_have_a_year_and_their_stream_is_put_on_record(own, tmp_path, order):
    changes = PERSONS | {"data": str(own), "order": order}
    asked = spec(**changes)
    streams = [point for point in asked.points() if point.order == ("months",)]
    assert len(streams) == 5
    assert len(possible(asked)) == 5
    with Store(tmp_path / "store") as store:
        view = finish(store, **changes)
        kept = store.replicates("04")
    assert [row["why"] for row in view.impossible()] == [WHY] * 5
    assert {(row["order"], row["arm"]) for row in view.results()} == {("year", p.method[0]) for p in asked.points()}
    assert sorted(row["status"] for row in kept) == ["finished"] * 5 + ["impossible"] * 5
    assert {row["error"] for row in kept if row["status"] == "impossible"} == {WHY}
    assert view.complete


@pytest.mark.parametrize("order", ["year,months", "months,year"])
def test_what_is_foretold_of_persons_is_the_year_alone(own, order):
    data = load_table(str(own), b"key")
    both, year = (spec(**PERSONS | {"data": str(own), "order": names}) for names in (order, "year"))
    EXPERIMENT.check(both, data)
    assert EXPERIMENT.costs(both, data) == EXPERIMENT.costs(year, data)
    assert "order months" not in EXPERIMENT.costs(both, data)


def test_persons_of_a_stream_alone_are_refused(own):
    asked, data = spec(**PERSONS | {"data": str(own), "order": "months"}), load_table(str(own), b"key")
    with pytest.raises(BadInput, match=f"unit = 'person'.*example with a stream: {WHY}") as refused:
        EXPERIMENT.check(asked, data)
    assert len(str(refused.value).splitlines()) == 1
    EXPERIMENT.check(asked.model_copy(update={"unit": "example"}), data)


def test_a_delta_is_judged_by_the_units_of_all_months(own):
    changes, data = OWN | {"data": str(own), "order": "months"}, load_table(str(own), b"key")
    units, _ = shape(spec(**changes).points()[0], data)
    assert max(units) < sum(units) / 1.5
    EXPERIMENT.check(spec(**changes, delta=0.99 / sum(units)), data)
    with pytest.raises(BadInput, match=r"delta.*below 1/n"):
        EXPERIMENT.check(spec(**changes, delta=1 / sum(units)), data)
    assert f"one example of {sum(units)} is protected" in EXPERIMENT.costs(spec(**changes), data)
