from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from labkit.data import load, split
from labkit.errors import BadInput
from labkit.experiments import get, names
from labkit.experiments.random_search.replicate import replicate
from labkit.experiments.tour.private import networks, plan_of, trainer_of
from labkit.experiments.tour.results import first_epsilon
from labkit.privacy import Plan
from labkit.runs import Store, Worker
from labkit.runs.events import Event, Point, Progress, Result
from labkit.runs.experiment import Resources
from labkit.runs.view import View, open_view
from labkit.spec import PRESETS
from labkit.verdicts import comparisons

TOUR, SEARCH = get("00"), get("01")
ASKED = TOUR.spec.of(sparsity=0.5, budget=4, data="digits", device="cpu")
PRIVATE = ("private", "private-random")


@pytest.fixture(scope="module")
def resources() -> Resources:
    return Resources(torch.device("cpu"), split(load("digits"), 0))


@pytest.fixture(scope="module")
def events(resources: Resources) -> list[Event]:
    return list(TOUR.run(ASKED, 0, resources))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """A finished run over two epsilons and a word."""
    spec = ASKED.changed(seeds=2, epsilon="2,0.5,plain")
    with Store(tmp_path_factory.mktemp("store")) as store:
        for _ in Worker(TOUR, spec, store).run():
            pass
        yield open_view(spec, TOUR, store)


def results(events: list[Event]) -> dict[str, Result]:
    return {event.arm: event for event in events if isinstance(event, Result)}


def test_the_tour_is_a_small_random_search_and_two_private_networks(events: list[Event], resources: Resources) -> None:
    ours = results(events)
    theirs = results(list(SEARCH.run(ASKED.search(), 0, resources)))
    assert list(ours) == [*theirs, *PRIVATE]
    assert {arm: ours[arm] for arm in theirs} == theirs
    assert set(theirs) == {"dense", "found", "first", "random"}


def test_private_results_carry_what_they_cost(events: list[Event], resources: Resources) -> None:
    plan = plan_of(2.0, len(resources.data.train), ASKED.search())
    sizes = {"private": "dense", "private-random": "first"}
    for arm, like in sizes.items():
        values = results(events)[arm].values
        assert values["epsilon_spent"] == plan.epsilon <= 2
        assert values["noise_multiplier"] == plan.noise_multiplier > 0
        assert values["delta"] == plan.delta == 1e-5
        assert values["sample_rate"] == 128 / len(resources.data.train)
        assert values["parameters"] == results(events)[like].values["parameters"]


def test_the_gauge_follows_the_plan(events: list[Event], resources: Resources) -> None:
    plan = plan_of(2.0, len(resources.data.train), ASKED.search())
    said = [event.values for event in events if isinstance(event, Point) and event.series == "spent"]
    assert [values["step"] for values in said] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert [values["epsilon_spent"] for values in said] == [plan.at_most_after(values["step"]) for values in said]
    assert all(one < other for one, other in pairwise(values["epsilon_spent"] for values in said))
    fixed = {"steps": 80, "target": 2.0, "delta": 1e-5, "source": "seeded", "plan": "dense network of epsilon 2"}
    assert all(values[name] == value for values in said for name, value in fixed.items())


def test_results_come_last_and_progress_only_rises(events: list[Event]) -> None:
    kinds = [isinstance(event, Result) for event in events]
    assert kinds == sorted(kinds)
    shares = [event.done / event.total for event in events if isinstance(event, Progress)]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(("word", "clip"), [("clipped", 1.0), ("plain", float("inf"))])
def test_words_have_no_epsilon(word: str, clip: float, resources: Resources) -> None:
    plan = plan_of(word, len(resources.data.train), ASKED.search())
    assert (plan.epsilon, plan.clip_norm, plan.noise_multiplier) == (None, clip, 0)
    told = list(TOUR.run(ASKED.changed(epsilon=word, budget=1), 0, resources))
    assert not any(isinstance(event, Point) and event.series == "spent" for event in told)
    for arm in PRIVATE:
        assert "epsilon_spent" not in results(told)[arm].values
        assert "delta" not in results(told)[arm].values


def test_arms_share_start_and_draws_and_no_noise(resources: Resources) -> None:
    r = replicate(ASKED.search(), 0, resources)
    dense, first = networks(r, 2.0)
    one, other = trainer_of(r, dense), trainer_of(r, first)
    assert torch.equal(one.rows, other.rows)
    assert set(one.noise_keys).isdisjoint(other.noise_keys)
    sparser = replicate(ASKED.changed(sparsity=0.9, budget=8).search(), 0, resources)
    again, elsewhere = (trainer_of(sparser, some) for some in networks(sparser, 2.0))
    assert again.noise_keys == one.noise_keys  # one network, whatever stands beside it
    assert elsewhere.noise_keys != other.noise_keys
    assert trainer_of(r, networks(r, 0.5)[0]).noise_keys != one.noise_keys
    start = {name: tensor.clone() for name, tensor in one.params.items()}
    one.advance(1)
    assert all(torch.equal(start[name], r.parent[name]) for name in start)
    assert not any(torch.equal(start[name], one.params[name]) for name in start)


def test_a_stop_in_the_private_part_loses_and_repeats_nothing(events: list[Event], tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        spec = ASKED.changed(seeds=1)
        running = Worker(TOUR, spec, store).run()
        while not (isinstance(event := next(running).event, Point) and event.values.get("arm") == "private-random"):
            pass
        running.close()
        for _ in Worker(TOUR, spec, store).run():
            pass
        found = open_view(spec, TOUR, store)
        for series, value in {"curve": "selection_accuracy", "spent": "epsilon_spent"}.items():
            said = [event.values for event in events if isinstance(event, Point) and event.series == series]
            told, kept = (
                sorted((row.get("arm", ""), row["step"], row[value]) for row in rows)
                for rows in (said, found.series(series))
            )
            assert told == kept


def test_an_epsilon_that_cannot_be_reached_is_refused_before_training(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**given: object) -> Plan:
        raise BadInput("epsilon", given["epsilon"], "something else")

    monkeypatch.setattr(Plan, "calibrated", refuse)
    TOUR.check(ASKED.changed(epsilon="clipped,plain"), resources.data)
    with pytest.raises(BadInput, match=r"epsilon = 3\.0"):
        TOUR.check(ASKED.changed(epsilon="plain,3"), resources.data)


@pytest.mark.usefixtures("one_rate")
def test_estimates_grow_with_every_epsilon(resources: Resources) -> None:
    one, two = (
        TOUR.estimate(ASKED.changed(epsilon=epsilon), resources.data, resources.device) for epsilon in ("2", "2,8")
    )
    assert two.seconds > 1.5 * one.seconds > 0
    assert two.peak_bytes == one.peak_bytes


def test_claims_hold_and_an_overspent_epsilon_is_noticed(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    made = TOUR.claims(view)
    assert all(claim.holds for claim in made)
    assert made[-1].measured.startswith("8 of 12 networks have an epsilon")
    rows = view.results()
    next(row for row in rows if row["arm"] == "private")["epsilon_spent"] = 2.1
    monkeypatch.setattr(view, "results", lambda: rows)
    assert [claim.holds for claim in TOUR.claims(view)].count(False) == 1


def test_charts_and_verdicts_are_of_the_first_epsilon(view: View) -> None:
    first = first_epsilon(view)
    assert {row["epsilon"] for row in first.results()} == {2.0}
    assert len(comparisons(first)) == 3  # a family without repeats
    assert TOUR.verdict_words(view).startswith("sparsity 0.5, budget 4: found against random: undecided")
    for name, chart in TOUR.charts.items():
        title = chart(view).title
        lines = title.subtitle if isinstance(title.subtitle, list) else []
        said = "at epsilon 2, the first of several: notebook 02 shows them side by side"
        assert (said in lines) is (name in ("accuracy_by_sparsity", "training_curves")), name


def test_bounds_are_typed_once() -> None:
    ours, theirs = TOUR.spec.controls()["sparsity"], SEARCH.spec.controls()["sparsity"]
    assert (ours.ge, ours.lt, ours.help, ours.low) == (theirs.ge, theirs.lt, theirs.help, theirs.low)
    ours, theirs = TOUR.spec.controls()["epsilon"], get("02").spec.controls()["epsilon"]
    assert (ours.gt, ours.le, ours.words, ours.log) == (theirs.gt, theirs.le, theirs.words, theirs.log)


def test_every_preset_of_every_experiment_is_a_valid_spec_with_help() -> None:
    for key in names():
        for preset in PRESETS:
            spec = get(key).spec.of(preset=preset)
            assert spec.modified() == {}
            assert all(control.help for control in spec.controls().values())
