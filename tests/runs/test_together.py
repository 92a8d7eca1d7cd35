from __future__ import annotations

from types import SimpleNamespace

import pytest
from fake_experiment import ARMS, EXPERIMENT, FakeSpec
from interleaved_experiment import TOGETHER

from labkit.runs import RunKey, Store, Worker, run_name
from labkit.runs.events import Progress

SPEC = FakeSpec.of(sparsity="0.5,0.9", seeds=3, steps=4, device="cpu")
DATA = SimpleNamespace(fingerprint="f" * 64)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


def worker(store, experiment=TOGETHER) -> Worker:
    return Worker(experiment, SPEC, store, load=lambda spec, store: DATA)


def numbers(store) -> list[dict]:
    return sorted(store.results(), key=lambda row: (row["name"], row["seed"], row["arm"]))


@pytest.fixture
def alone(tmp_path):
    with Store(tmp_path / "alone") as opened:
        list(worker(opened, EXPERIMENT).run())
        yield opened


def points_of(store) -> dict:
    keys = [RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"]) for row in store.replicates()]
    return {key: store.points(key, "curve") for key in keys}


def test_replicates_run_together_hold_the_numbers_that_each_has_alone(store, alone):
    updates = list(worker(store).run())
    assert numbers(store) == numbers(alone)
    assert len(numbers(store)) == 6 * len(ARMS)
    assert points_of(store) == points_of(alone)
    # a batch finishes as a whole: three seeds of a sparsity at once
    assert [update.done for update in updates if update.event == Progress(1, 1, "finished")] == [3, 6]
    assert (updates[-1].done, updates[-1].total) == (6, 6)
    assert store.integrity() == []


@pytest.mark.parametrize("after", [2, 9, 40, 62, 100])
def test_stopped_anywhere_they_resume_to_the_same_numbers(store, alone, after):
    running = worker(store).run()
    for _ in range(after):
        next(running)
    running.close()
    assert {row["status"] for row in store.replicates()} <= {"stopped", "finished"}
    list(worker(store).run())
    assert numbers(store) == numbers(alone)
    assert points_of(store) == points_of(alone)


def test_a_replicate_that_is_finished_or_busy_is_left_out_of_the_batch(store, alone):
    list(Worker(TOGETHER, SPEC.changed(seeds=1), store, load=lambda spec, store: DATA).run())
    name = run_name("99", 1, SPEC.points()[0], DATA.fingerprint)
    busy = RunKey("99", name, 1, "cpu")
    running = worker(store).run()
    with store.claim(busy, SPEC.points()[0]):
        waiting = Progress(0, 1, "waiting: another worker is at it")
        assert any(update.event == waiting for update in running)
        assert [row["status"] for row in store.replicates()].count("finished") == 5
    list(running)
    assert numbers(store) == numbers(alone)


def test_what_breaks_marks_every_replicate_of_the_batch(store):
    with pytest.raises(RuntimeError, match="asked to break"):
        list(Worker(TOGETHER, SPEC.changed(fail_at=3), store, load=lambda spec, store: DATA).run())
    assert [row["status"] for row in store.replicates()] == ["failed"] * 3
