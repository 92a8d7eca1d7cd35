"""Rows that FEST keeps in notebook 04: counted in public or at a price; and persons as the unit that is protected."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from small_embeddings import Given, jobs, lab, points, recorded, results, table, told, write_csv

from labkit.data.table import Table
from labkit.data.tables import load_table
from labkit.embeddings.frequency import counts
from labkit.experiments.embeddings import chosen
from labkit.privacy import spent
from labkit.privacy.events import ExponentialMechanismDpEvent, dp_sgd

COUNTED = ("histogram", "gumbel")
SHARE = 0.4


@pytest.fixture
def begun(monkeypatch) -> list[Given]:
    return recorded(monkeypatch)


@pytest.fixture(scope="module")
def persons(tmp_path_factory) -> Table:
    return load_table(str(write_csv(tmp_path_factory.mktemp("own") / "own.csv", 400, people=60)), b"key")


BY_PERSON = {"vocabulary": "20", "unit": "person", "max_examples": 3, "batch_size": 8, "epochs": 1.0}


@pytest.mark.parametrize("frequency", COUNTED)
def test_a_count_of_private_data_is_charged(begun, frequency):
    some = jobs(method="fest,adafest_plus", frequency=frequency, frequency_share=SHARE)
    public = jobs(method="fest", frequency="public")
    events = told(some)
    told(public)
    noise = {given.method.name: given.plan.noise_multiplier for given in begun[:3]}
    assert noise["fest"] == noise["adafest_plus"] > 1.05 * noise["dpsgd"] == 1.05 * begun[4].plan.noise_multiplier
    rows = {row["arm"]: row for row in results(events).values()}
    assert all(0.98 * 8 < row["epsilon_spent"] <= 8 for row in rows.values())
    assert [rows[name].get("frequency") for name in ("dpsgd", "fest", "adafest_plus")] == [None, frequency, frequency]
    ledger = points(events, "ledger")
    assert Counter((place, row["what"]) for place, row in ledger) == {
        (0, "training"): 1, (1, "training"): 1, (1, "counted"): 1, (2, "training"): 1, (2, "counted"): 1,
    }  # fmt: skip
    for _, row in ledger:
        if row["what"] == "counted":
            assert row["epsilon_each"] == pytest.approx(SHARE * 8, rel=0.01)
            assert (row["times"], row["delta"]) == (1, 1e-5)


@pytest.mark.parametrize("frequency", COUNTED)
def test_the_plan_holds_the_count_and_costs_what_both_do(begun, frequency):
    told(jobs(method="fest", frequency=frequency, frequency_share=SHARE))
    plan = begun[1].plan
    (event,) = plan.also
    if frequency == "histogram":
        assert isinstance(event, GaussianDpEvent)
        assert spent(event, 1e-5).epsilon == pytest.approx(SHARE * 8, rel=0.01)
    else:
        assert isinstance(event, SelfComposedDpEvent)
        assert isinstance(event.event, ExponentialMechanismDpEvent)
        assert event.count == 5 * sum(size > 5 for size in table().sizes)
    training = dp_sgd(plan.sample_rate, plan.noise_multiplier, plan.steps)
    assert plan.epsilon == pytest.approx(spent([training, event], 1e-5).epsilon, rel=1e-3)
    assert spent(training, 1e-5).epsilon < 8


def test_public_counts_are_those_of_the_selection_split(begun):
    told(jobs(method="fest"))
    some = lab()
    split = some.ground(some.point(0)).split
    kept, start = begun[1].active.numpy(), 0
    found = counts(split.selection.ids, split.sizes)
    for size in split.sizes:
        own = kept[(kept >= start) & (kept < start + size)] - start
        column = found[start : start + size]
        assert sorted(column[own]) == sorted(column)[-min(5, size) :]
        start += size
    assert begun[1].plan.also == ()
    assert np.array_equal(begun[1].active, begun[1].active.sort().values)


def test_more_of_the_budget_counts_better(begun):
    """Of the rows that are really frequent in the training split a larger share is kept."""
    some = lab()
    split = some.ground(some.point(0)).split
    found, right = counts(split.train.ids, split.sizes), []
    for share in (0.001, 0.9):
        point = jobs(method="fest", frequency="histogram", frequency_share=share)[1].point
        right.append(found[chosen.choice(some.ground(point), point, 5).rows].sum())
    assert right[1] > 1.1 * right[0]


def test_the_noise_of_a_count_is_its_own(begun):
    def kept(**changes: object) -> list[int]:
        before = len(begun)
        told(jobs(**{"method": "fest", "frequency": "histogram", "frequency_share": 0.01} | changes))
        return begun[before + 1].active.tolist()

    assert kept() == kept()
    assert kept() != kept(epsilon="7.9")  # another release
    assert kept() != kept(seed=1)
    assert kept(noise_source="os") != kept(noise_source="os")


def test_a_small_vocabulary_keeps_whole_columns(begun):
    told(jobs(method="fest", k="60", vocabulary="0,70"))
    sizes = [given.active.tolist() for given in begun if given.active is not None]
    assert sizes[1] == list(range(len(begun[-1].table)))


def test_persons_are_capped_and_counted(begun, persons):
    events = told(jobs(**BY_PERSON, method="dpsgd,lazydp"), persons)
    some = lab(persons, **BY_PERSON)
    train = some.ground(some.point(0)).split.train
    people = len(set(train.persons))
    assert people < len(train)
    for given in begun:
        units = given.units.numpy()
        assert units.shape == (people, 3)
        assert given.plan.examples == people
        assert given.plan.sample_rate == 8 / people
        assert given.plan.delta == min(1e-5, 1 / (10 * people))
        for unit in units:
            assert len({train.persons[row] for row in unit if row >= 0}) == 1
        expected = np.minimum(np.bincount(train.persons)[np.unique(train.persons)], 3)
        assert sorted((units >= 0).sum(1)) == sorted(expected)
        real = units[units >= 0]
        assert len(np.unique(real)) == len(real)
    assert {row["unit"] for row in results(events).values()} == {"person"}


def test_a_person_is_in_one_part_of_the_split(persons):
    some = lab(persons, **BY_PERSON)
    split = some.ground(some.point(0)).split
    people = [set(part.persons) for part in (split.train, split.selection, split.test)]
    assert not people[0] & people[1] | people[0] & people[2] | people[1] & people[2]


@pytest.mark.parametrize("frequency", COUNTED)
def test_a_person_counts_once_for_a_row(begun, persons, monkeypatch, frequency):
    """The charged count is of capped persons: one with a hundred flights moves it no more than one with three."""
    seen = []
    original = getattr(chosen.frequency, frequency)
    monkeypatch.setattr(chosen.frequency, frequency, lambda ids, *more: seen.append(ids) or original(ids, *more))
    told(jobs(**BY_PERSON, method="fest", frequency=frequency, k="2"), persons)
    units, ids = begun[1].units.numpy(), begun[1].ids.numpy()
    (found,) = seen
    assert found.shape == (len(units), 3 * ids.shape[1])
    for unit, row in zip(units, found, strict=True):
        wanted = [number for place in unit if place >= 0 for number in ids[place]]
        assert [number for number in row if number >= 0] == wanted


@pytest.mark.parametrize(("units", "delta"), [(420, 1e-5), (9_999, 1e-5), (20_000, 5e-6), (10**6, 1e-7)])
def test_the_default_delta_by_hand(units, delta):
    from labkit.experiments.embeddings.lab import plans_of

    point = jobs(batch_size=1, epochs=1e-9)[0].point
    assert plans_of(point, [units])[0].delta == pytest.approx(delta)
