"""Notebook 05 stopped at any of its events and resumed: a seeded run ends in the numbers of one that nobody stopped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_finetune import (
    checkpoint,
    chunk,
    finish,
    jobs,
    kept,
    patched,
    resources,
    run_until,
    timeless,
)

from labkit.experiments.finetune import choosing, training
from labkit.experiments.finetune.run import run
from labkit.finetune.scores import RowScores
from labkit.privacy import PrivateTrainer
from labkit.runs import RunKey, Store, worker
from labkit.runs.events import Checkpoint, Chunk, Point, Result
from labkit.runs.experiment import Job

STOPPED = {"method": "random,sparta,search", "epsilon": "8,plain", "warmup": "0.5", "budget": 2, "landscape_size": 2}
SHORT = STOPPED | {"batch_size": 45, "landscape_size": 0}  # two steps, one of them a warm-up


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
        for module in (training, choosing):
            patch.setattr(module, "STRIDE", 1)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("whole")) as store:
        return kept(finish(store, **STOPPED))


class Kept:
    """What a store keeps of jobs, without a disk: files, and what was said up to the last one."""

    def __init__(self, jobs: list[Job], chunks: dict, checkpoints: dict, points: dict[int, list]) -> None:
        self.jobs, self.chunks, self.checkpoints, self.points = jobs, chunks, checkpoints, points
        self.sure = {place: len(said) for place, said in points.items()}
        self.results: dict[int, dict] = {}

    def run(self) -> Iterator[None]:
        """Go on from what is kept, an event at a time."""
        given = resources(chunks=dict(self.chunks), checkpoints=dict(self.checkpoints))
        for place, event in run(self.jobs, given):
            if isinstance(event, Point):
                self.points[place].append((event.series, dict(event.values)))
            elif isinstance(event, Result):
                self.results[place] = timeless(dict(event.values))
            elif isinstance(event, Chunk | Checkpoint):
                files = self.chunks if isinstance(event, Chunk) else self.checkpoints
                made = event.tensors if isinstance(event, Chunk) else event.make()
                files[event.key] = {name: tensor.clone() for name, tensor in made.items()}
                self.sure[place] = len(self.points[place])
            yield

    def stopped(self) -> Kept:
        """What there is after a stop: what was said since a job's last file is gone, as `Store.claim` has it."""
        left = {place: said[: self.sure[place]] for place, said in self.points.items()}
        return Kept(self.jobs, dict(self.chunks), dict(self.checkpoints), left)


def test_stopped_at_every_event():
    some = jobs(**SHORT)
    whole, stops = Kept(some, {}, {}, {place: [] for place in range(len(some))}), []
    for _ in whole.run():
        stops.append(whole.stopped())
    assert len(stops) > 50
    for number, again in enumerate(stops):
        for _ in again.run():
            pass
        assert again.results == whole.results, number
        assert again.points == whole.points, number


@pytest.mark.parametrize(
    "ends",
    [
        checkpoint("warm-up", 2), chunk("chosen ", "search"), checkpoint("training-random", 2),
        chunk("ended ", "sparta"), chunk("trained ", "random"),
    ],
    ids=["warm-up", "chosen", "training", "ended", "trained"],
)  # fmt: skip
def test_the_store_of_a_stopped_run_is_the_same(tmp_path, whole, ends):
    with Store(tmp_path) as store:
        assert run_until(store, ends, **STOPPED)
        assert {row["status"] for row in store.replicates()} == {"stopped"}
        assert kept(finish(store, **STOPPED)) == whole


def test_stopped_often(tmp_path, whole):
    with Store(tmp_path) as store:
        for words in ("warm-up", "scores", "training-random", "training-sparta", "training-search"):
            assert run_until(store, checkpoint(words), **STOPPED)
        assert kept(finish(store, **STOPPED)) == whole


def test_the_numbers_of_a_run_that_was_stopped_among_others(tmp_path, whole):
    """More epsilons after the stop: other programs, the same numbers."""
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint("training-sparta", 1), **(STOPPED | {"epsilon": "8"}))
        rows, series = kept(finish(store, **STOPPED))
    assert rows == whole[0]
    assert series["ledger"] == whole[1]["ledger"]


def test_what_was_done_is_not_done_again(tmp_path, monkeypatch):
    steps, advance = [], PrivateTrainer.advance

    def counted(self, number):
        steps.append((isinstance(self, RowScores), self.done))
        advance(self, number)

    changes = STOPPED | {"landscape_size": 0}
    monkeypatch.setattr(PrivateTrainer, "advance", counted)
    with Store(tmp_path) as store:
        assert run_until(store, checkpoint("training-sparta", 1), **changes)
        before = len(steps)
        finish(store, **changes)
    # sparta's last step, two members at once; the four of the search. No scores and no warm-up.
    assert steps[before:] == [(False, 3), *((False, step) for step in range(4))]


def test_a_run_that_has_ended_looks_at_no_image_again(tmp_path, monkeypatch):
    changes = STOPPED | {"landscape_size": 0}
    with Store(tmp_path) as store:
        assert run_until(store, chunk("ended ", "search"), **changes)
        monkeypatch.setattr(PrivateTrainer, "__init__", None)
        monkeypatch.setattr(training, "scored", None)
        finish(store, **changes)


def test_checkpoints_of_a_seeded_run_are_told_apart_by_who_is_in_them(tmp_path):
    with Store(tmp_path) as store:
        for seeds in (1, 2):
            assert run_until(store, checkpoint("training-random"), **(STOPPED | {"seeds": seeds}))
        names = set()
        for row in store.replicates():
            key = RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"])
            names |= {name for name in store.checkpoints(key) if name.startswith("training-random")}
    assert len(names) == 2
