from __future__ import annotations

import dataclasses
import threading
from types import SimpleNamespace

import pytest
import torch
from fake_experiment import ARMS, EXPERIMENT, FakeSpec

from labkit.errors import BadInput
from labkit.runs import RunKey, Store, Worker
from labkit.runs.events import Checkpoint, Chunk, Point, Progress, Result

SPEC = FakeSpec.of(sparsity="0.5,0.9", seeds=2, steps=5, device="cpu")
DATA = SimpleNamespace(fingerprint="f" * 64)


class Clock:
    """A clock that stands still until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


def worker(store, spec=SPEC, experiment=EXPERIMENT, clock=None) -> Worker:
    return Worker(experiment, spec, store, load=lambda spec, store: DATA, clock=clock or Clock())


def numbers(store) -> list[dict]:
    return sorted(store.results(), key=lambda row: (row["name"], row["seed"], row["arm"]))


def test_every_replicate_of_every_point_is_run_once(store):
    updates = list(worker(store).run())
    assert [row["status"] for row in store.replicates()] == ["finished"] * 4
    assert len(numbers(store)) == 4 * len(ARMS)
    assert {len(store.points(update.key, "curve")) for update in updates if update.key} == {2 * 5}
    assert (updates[-1].done, updates[-1].total) == (4, 4)
    done = [update.done for update in updates]
    assert done == sorted(done)
    again = list(worker(store).run())
    assert [type(update.event) for update in again] == [Progress]  # loading data, and nothing else
    assert store.integrity() == []


def test_the_record_says_what_ran(store):
    list(worker(store).run())
    record = store.replicates()[0]["record"]
    assert record["seeds_planned"] == 2
    assert record["torch"] == torch.__version__
    assert record["fingerprint"] == DATA.fingerprint
    assert record["device"] == "cpu"
    assert FakeSpec.of(**record["spec"]) == SPEC
    assert record["peak_bytes"] > 2**20
    assert record["wall_seconds"] == 0  # the clock stood still
    assert str(store.path) not in str(record | {"spec": None})


@pytest.mark.parametrize("after", [1, 2, 7, 16, 29, 33])
def test_stopped_anywhere_it_resumes_to_the_same_numbers(store, tmp_path, after):
    with Store(tmp_path / "whole") as whole:
        list(worker(whole).run())
        expected = numbers(whole)
    running = worker(store).run()
    for _ in range(after):
        update = next(running)
    running.close()
    if update.key is not None:
        assert store.status(update.key) in ("stopped", "finished")
    list(worker(store).run())
    assert numbers(store) == expected
    steps = [point["step"] for point in store.points(RunKey(**_key(store)), "curve") if point["arm"] == ARMS[0]]
    assert steps == [1, 2, 3, 4, 5]  # none twice, none missing


def _key(store) -> dict:
    return {field: store.replicates()[0][field] for field in ("experiment", "name", "seed", "device_kind")}


def test_a_checkpoint_is_kept_every_fifteen_seconds_of_work(store):
    clock, made = Clock(), []

    def run(point, seed, resources):
        for step in range(100):
            clock.now += 1.0
            yield Checkpoint("arm", lambda step=step: made.append(step) or {"step": torch.tensor(step)})

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    running = worker(store, SPEC.changed(sparsity=0.5, seeds=1), experiment, clock).run()
    for update in running:
        if isinstance(update.event, Checkpoint):
            clock.now += 100.0  # a pause is no work
    assert made == [14, 29, 44, 59, 74, 89]
    assert store.replicates()[0]["record"]["wall_seconds"] == 100


def test_stopping_at_a_checkpoint_keeps_it(store):
    running = worker(store).run()
    while not isinstance((update := next(running)).event, Checkpoint):
        pass
    running.close()
    assert int(store.checkpoints(update.key)[ARMS[0]]["step"]) == 1


def test_a_finished_chunk_is_not_done_again(store):
    running = worker(store).run()
    while not isinstance((update := next(running)).event, Chunk):
        pass
    running.close()
    resumed = worker(store).run()
    events = []
    while not isinstance((update := next(resumed)).event, Result) or update.event.arm != ARMS[1]:
        events.append(update.event)
    resumed.close()
    assert {event.values["arm"] for event in events if isinstance(event, Point)} == {ARMS[1]}


def test_points_go_to_the_disk_a_few_times_a_second(store, monkeypatch):
    clock, writes = Clock(), []

    def run(point, seed, resources):
        for step in range(100):
            clock.now += 0.01
            yield Point("curve", {"step": step})

    original = Store.write
    monkeypatch.setattr(Store, "write", lambda *args: writes.append(len(args) - 2) or original(*args))
    experiment = dataclasses.replace(EXPERIMENT, run=run)
    updates = worker(store, SPEC.changed(sparsity=0.5, seeds=1), experiment, clock).run()
    next(updates)
    first = next(updates)
    assert len(store.points(first.key, "curve")) == 1  # the first is shown at once
    list(updates)
    assert len(store.points(first.key, "curve")) == 100
    assert len(writes) <= 12


def test_a_failure_is_recorded_and_raised(store):
    with pytest.raises(RuntimeError, match="asked to break at step 3"):
        list(worker(store, SPEC.changed(fail_at=3)).run())
    [row] = store.replicates()
    assert (row["status"], row["error"]) == ("failed", "RuntimeError: the fake experiment was asked to break at step 3")
    list(worker(store).run())  # fail_at is not part of the name: the same run, mended
    assert {row["status"] for row in store.replicates()} == {"finished"}


def test_bad_input_leaves_no_trace(store):
    with pytest.raises(BadInput, match="steps = 13"):
        list(worker(store, SPEC.changed(steps=13)).run())
    assert store.replicates() == []


def test_impossible_points_are_recorded_and_not_counted(store):
    updates = list(worker(store, SPEC.changed(sparsity="0.5,0.999")).run())
    assert updates[-1].total == 2
    statuses = [(row["status"], row["error"]) for row in store.replicates()]
    assert statuses.count(("impossible", "nothing is left to walk")) == 2


def test_one_that_another_process_writes_is_left_to_the_end_and_waited_for(store, monkeypatch):
    monkeypatch.setattr("labkit.runs.worker.WAIT_SECONDS", 0.01)
    probe = worker(store, SPEC).run()
    next(probe)
    held = next(probe)  # another worker, alive, in the middle of the first replicate
    updates = worker(store).run()
    order = []
    for update in updates:
        if update.key is not None and update.key not in order:
            order.append(update.key)
        if isinstance(update.event, Progress) and update.event.what.startswith("waiting:"):
            break
    assert len(order) == 4
    assert order[-1] == held.key
    thread = threading.Thread(target=probe.close)  # the other gives it back
    thread.start()
    thread.join()
    list(updates)
    assert {row["status"] for row in store.replicates()} == {"finished"}


def test_time_left_counts_only_work_done_here(store):
    clock = Clock()

    def run(point, seed, resources):
        for done in (2, 3, 4):
            clock.now += 1.0
            yield Progress(done, 4, "working")

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    updates = [u for u in worker(store, SPEC, experiment, clock).run() if u.key and u.event.what == "working"]
    assert updates[0].seconds_left is None  # half of it was there already, for all that is known
    assert updates[1].seconds_left == pytest.approx(2.0 / 0.25 * 3.25)  # a quarter took two seconds; 3.25 are left
