"""Notebook 02 with noise from the operating system: what a stop makes it do again is another release, charged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from small_frontier import EXPERIMENT, batch, chunks, digits, jobs, points, resources, results, spec, told

from labkit.experiments.frontier.arms import Network
from labkit.experiments.frontier.begun import groups
from labkit.experiments.frontier.claims import invariants
from labkit.experiments.frontier.run import run
from labkit.privacy import spent
from labkit.privacy.repeats import LOGARITHMIC, repeats_event
from labkit.runs import Store, View, Worker
from labkit.runs.events import Chunk, Event, Progress

ONE = {"epsilon": "2", "sparsity": "0.5", "space": "nodes", "seeds": 1, "noise_source": "os", "learning_rate": 0.5}
TUNED = ONE | {"learning_rate": "tuned", "clip_norm": 1.0}
Stops = Callable[[Event], bool]


def training(event: Event) -> bool:
    return isinstance(event, Progress) and event.what.endswith(": training")


def tuning(event: Event) -> bool:
    return isinstance(event, Progress) and "tuning" in event.what


def scoring(event: Event) -> bool:
    return isinstance(event, Progress) and event.what.endswith("scoring masks")


def learned(event: Event) -> bool:
    return isinstance(event, Chunk) and event.key.startswith("learned-")


def until(some, stops: Stops, held: dict) -> dict:
    """What is stored when a run that goes on from `held` is killed behind an event; the event itself is stored."""
    found = []
    for told_of in run(some, resources(chunks=held)):
        found.append(told_of)
        if stops(told_of[1]):
            return held | chunks(found)
    raise AssertionError("it was never stopped")


def after(*stops: Stops, **given):
    """The events of a run that was stopped so often, and its results by arm."""
    some = jobs(**ONE | given)
    held: dict = {}
    for stop in stops:
        held = until(some, stop, held)
    events = told(some, chunks=held)
    return events, {arm: row for (*_, arm), row in results(events, some).items()}


def test_once_by_hand():
    _, found = after()
    plans = batch(**ONE).plans
    assert {row["executions"] for row in found.values()} == {1}
    assert found["dense"]["epsilon_spent"] == plans.training.epsilon
    assert found["repeats"]["epsilon_spent"] == plans.repeats.epsilon


@pytest.mark.parametrize("stops", [(training,), (scoring,), (training, training)])
def test_every_execution_is_charged_whole(stops):
    _, found = after(*stops)
    plans, times = batch(**ONE).plans, 1 + len(stops)
    # By hand, from the accountant alone: what one execution does, so many times.
    for arm, plan in (("dense", plans.training), ("random", plans.training), ("small", plans.training)):
        assert found[arm]["epsilon_spent"] == spent([plan.event()] * times, plan.delta).epsilon
    chosen = [plans.chosen.event(), *plans.chosen.also] * times
    assert found["chosen-3"]["epsilon_spent"] == spent(chosen, plans.chosen.delta).epsilon
    again = repeats_event(plans.repeats.base.event(), plans.repeats.score_noise, 1.5, LOGARITHMIC)
    assert found["repeats"]["epsilon_spent"] == spent([again] * times, plans.repeats.delta).epsilon
    assert {row["executions"] for row in found.values()} == {times}
    assert all(row["epsilon_spent"] > 2.1 for name, row in found.items() if name != "simulated")


def test_what_had_ended_is_not_done_again():
    events, found = after(learned)
    assert {row["executions"] for row in found.values()} == {1}
    assert found["dense"]["epsilon_spent"] == batch(**ONE).plans.training.epsilon
    whole, _ = after()
    assert counted(events) == counted(whole)


def counted(events) -> list[tuple]:
    """The ledger's rows without the names of draws."""
    rows = (row for _, row in points(events, "ledger"))
    return sorted(tuple(sorted((k, v) for k, v in row.items() if k != "group")) for row in rows)


def test_the_ledger_counts_what_was_stopped():
    once, twice = (counted(after(*stops)[0]) for stops in ((), (training,)))
    trained = [row for row in once if ("what", "training") in row]
    assert [row for row in twice if ("what", "training") in row] == sorted(trained * 2)
    both = [{dict(row)["what"]: dict(row)["times"] for row in rows if "times" in dict(row)} for rows in (once, twice)]
    assert both[1] == {what: 2 * number for what, number in both[0].items()}
    groups_of = [row["group"] for _, row in points(after(training)[0], "ledger") if row["what"] == "training"]
    assert len(set(groups_of)) == len(groups_of)  # other draws compose; they are not one event


def test_a_tuning_that_was_stopped_is_in_the_ledger_and_not_in_the_run():
    events, found = after(tuning, **TUNED)
    assert {row["executions"] for row in found.values()} == {1}
    names = [row["group"] for _, row in points(events, "ledger") if row["what"] == "training"]
    stopped = [name for name in names if name.startswith("tuning-")]
    first_round = [name for name in names if name.startswith("tuning ")]
    assert len(stopped) == len(first_round) >= 1
    # One that had ended before the training was stopped is counted once.
    names = [row["group"] for _, row in points(after(training, **TUNED)[0], "ledger") if row["what"] == "training"]
    assert [name for name in names if name.startswith("tuning-")] == []
    assert any(name.startswith("learned-") for name in names)


def test_jobs_resumed_with_others_are_charged_for_themselves():
    some = jobs(**ONE | {"seeds": 2})
    held = until(some[:1], training, {})
    found = results(told(some, chunks=held), some)
    assert {(seed, row["executions"]) for (_, _, seed, _), row in found.items()} == {(0, 2), (1, 1)}


def test_a_seed_makes_the_same_again():
    some = jobs(**ONE | {"noise_source": "seeded"})
    events = told(some)
    assert [key for key in chunks(events) if key.startswith("begun-")] == []
    assert all("executions" not in row for row in results(events, some).values())
    words = jobs(**ONE | {"epsilon": "plain"})
    assert [key for key in chunks(told(words)) if key.startswith("begun-")] == []


def test_it_is_on_record_before_it_runs():
    kinds = ["scored" if scoring(e) else "trained" if training(e) else e.key.split("-")[1] for _, e in told(jobs(**ONE))
             if scoring(e) or training(e) or (isinstance(e, Chunk) and e.key.startswith("begun-"))]  # fmt: skip
    assert kinds[0] == "job"
    assert kinds.index("learned") < kinds.index("trained")


def test_the_number_of_repeats_is_on_no_record():
    some = batch(**ONE)
    arm = next(arm for arm in some.arms(some.jobs[0]) if arm.kind == "repeats")
    assert groups([Network(arm, 0, 0.5, candidate=i, draw=f"repeats {i}") for i in range(3)]) == []


def test_the_claims_say_so(tmp_path):
    with Store(tmp_path) as store:
        work = Worker(EXPERIMENT, spec(**ONE), store, load=lambda asked, where: digits()).run()
        for update in work:
            if training(update.event):
                work.close()
                break
        for _ in Worker(EXPERIMENT, spec(**ONE), store, load=lambda asked, where: digits()).run():
            pass
        view = View(store, EXPERIMENT, spec(**ONE), digits().fingerprint, "cpu")
        found = {claim.text: claim for claim in invariants(view)}
        assert all(claim.holds for claim in found.values())
        assert any("made a network do again is charged" in sentence for sentence in found)
        assert {row["executions"] for row in view.results()} == {2}
