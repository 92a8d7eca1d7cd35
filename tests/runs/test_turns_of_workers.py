from __future__ import annotations

import contextlib
import dataclasses
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from killable import processes
from queueing import run_all, until, work_in_turn

from labkit.cli.parameters import checked
from labkit.errors import BadInput
from labkit.runs import Store, Worker
from labkit.runs.events import Progress
from labkit.runs.tickets import Folder
from labkit.runs.turns import Turns

SPEC = FakeSpec.of(sparsity="0.5", seeds=2, steps=5, device="cpu")
DATA = SimpleNamespace(fingerprint="f" * 64)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr("labkit.runs.worker.WAIT_SECONDS", 0.0)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def other(tmp_path):
    with Store(tmp_path / "other") as opened:
        yield opened


@pytest.fixture
def card(tmp_path):
    return tmp_path / "card"


def worker(store, card, spec=SPEC, experiment=EXPERIMENT, clock=time.monotonic) -> Worker:
    turns = Turns(card, clock=clock)
    return Worker(experiment, spec, store, load=lambda spec, store: DATA, turns=turns, clock=clock)


def numbers(store) -> list[dict]:
    return sorted(store.results(), key=lambda row: (row["name"], row["seed"], row["arm"]))


def statuses(store) -> list[str]:
    return [row["status"] for row in store.replicates()]


def test_two_take_turns_piece_by_piece_and_find_what_each_finds_alone(store, other, card):
    first, second = worker(store, card).run(), worker(other, card).run()
    until(first, "walking")
    waits = until(second, "waiting for the GPU")
    assert waits.event.what == "waiting for the GPU: 1 ahead, for how long is not known"
    assert waits.key is None
    assert statuses(other) == []  # nobody else would have to wait for a replicate of one who waits
    until(first, "finished")
    assert until(first, "waiting for the GPU").event.what.startswith("waiting for the GPU: 1 ahead")
    assert statuses(store) == ["finished"]
    until(second, "walking")
    assert until(first, "waiting for the GPU").done == 1
    until(second, "finished")
    until(second, "waiting for the GPU")
    assert statuses(other) == ["finished"]
    list(first)
    list(second)
    assert numbers(store) == numbers(other)
    assert len(numbers(store)) == 4
    assert list(card.iterdir()) == []


def test_one_that_is_alone_keeps_its_turn(store, card, monkeypatch):
    drawn = []
    original = Folder.draw
    monkeypatch.setattr(Folder, "draw", lambda self: drawn.append(True) or original(self))
    list(worker(store, card, SPEC.changed(seeds=5)).run())
    assert statuses(store) == ["finished"] * 5
    assert len(drawn) == 1
    assert list(card.iterdir()) == []


def test_a_stop_while_it_waits_leaves_the_queue(store, other, card):
    first, second = worker(store, card).run(), worker(other, card).run()
    until(first, "walking")
    until(second, "waiting for the GPU")
    assert len(list(card.iterdir())) == 2
    second.close()
    assert len(list(card.iterdir())) == 1
    first.close()
    assert list(card.iterdir()) == []
    assert statuses(store) == ["stopped"]
    list(worker(store, card).run())
    assert statuses(store) == ["finished"] * 2


def test_a_failure_ends_the_turn(store, card):
    with pytest.raises(RuntimeError, match="asked to break"):
        list(worker(store, card, SPEC.changed(fail_at=3)).run())
    assert list(card.iterdir()) == []


def test_what_is_stored_is_waited_for_by_nobody(store, other, card):
    list(worker(store, card).run())
    first = worker(other, card).run()
    until(first, "walking")
    assert len(list(worker(store, card).run())) == 1  # data are loaded, and nothing else
    assert len(list(worker(store, card, SPEC.changed(seeds=1)).run())) == 1
    until(worker(store, card, SPEC.changed(seeds=3)).run(), "waiting for the GPU")


def test_what_can_be_refused_is_looked_for_in_its_turn(store, other, card):
    asked = []

    def check(spec, data):
        asked.append(spec)
        raise BadInput("width", 1, "what fits in the memory that is free")

    experiment = dataclasses.replace(EXPERIMENT, check=check)
    first, second = worker(other, card).run(), worker(store, card, experiment=experiment).run()
    until(first, "walking")
    for _ in range(3):
        next(second)
    assert asked == []
    first.close()
    with pytest.raises(BadInput, match="memory that is free"):
        list(second)
    assert list(card.iterdir()) == []
    assert statuses(store) == []
    gone = worker(store, card, SPEC.changed(sparsity="0.999"), experiment)  # nothing of it can exist
    with pytest.raises(BadInput, match="memory that is free"):
        list(gone.run())


def test_one_that_waits_for_a_replicate_holds_no_turn(store, card):
    held = worker(store, card).run()
    until(held, "walking")
    key = until(held, "walking").key
    held.close()
    with store.claim(key, SPEC.points()[0]):
        second = worker(store, card, SPEC.changed(seeds=1)).run()
        until(second, "waiting: another worker")
        assert list(card.iterdir()) == []
    list(second)
    assert statuses(store) == ["finished"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_waiting_is_no_work_and_those_at_work_say_how_long_it_takes(store, other, card, monkeypatch):
    clock = Clock()

    def run(point, seed, resources):
        for done in range(5):
            clock.now += 3.0
            yield Progress(done, 5, "working")

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    first = worker(store, card, SPEC.changed(seeds=3), experiment, clock).run()
    until(first, "working")
    until(first, "working")
    # Two of three seconds a step were worked for a fifth of a replicate; four fifths of this one are to come.
    second = worker(other, card, SPEC, experiment, clock).run()
    assert until(second, "waiting").event.what == "waiting for the GPU: 1 ahead, about 24 s"
    until(first, "working")  # 9 s for two fifths: 13.5 s for the other three
    assert until(second, "waiting").event.what == "waiting for the GPU: 1 ahead, about 14 s"
    monkeypatch.setattr(time, "sleep", lambda seconds: setattr(clock, "now", clock.now + 4.0))
    until(first, "finished")
    left = until(first, "waiting").seconds_left
    assert left == until(first, "waiting").seconds_left == pytest.approx(30)
    third = worker(other, card, SPEC.changed(sparsity="0.9"), experiment, clock).run()
    assert until(third, "waiting").event.what.startswith("waiting for the GPU: 2 ahead, ")
    third.close()
    until(second, "working")
    until(first, "waiting")
    until(first, "waiting")
    until(second, "finished")
    until(second, "waiting")
    list(first)
    list(second)
    assert {row["record"]["wall_seconds"] for row in store.replicates() + other.replicates()} == {15.0}


def test_processes_never_overlap_and_find_the_same(tmp_path):
    started = [
        processes().Process(
            target=work_in_turn,
            args=(tmp_path, tmp_path / "card", place),
            kwargs={"sparsity": "0.5", "seeds": 3, "steps": 10, "delay": 0.002},
        )
        for place in (1, 2)
    ]
    run_all(started)
    said = (tmp_path / "log").read_text().split()
    assert len(said) == 12
    assert all(ends == begins.replace("+", "-") for begins, ends in zip(said[::2], said[1::2], strict=True))
    assert all(before != after for before, after in pairwise(said[::2]))  # piece by piece
    with Store(tmp_path / "1") as one, Store(tmp_path / "2") as two:
        assert numbers(one) == numbers(two)
        assert len(numbers(one)) == 6


def test_one_that_waits_between_pieces_has_claimed_nothing(store, other, card):
    first, second = worker(store, card).run(), worker(other, card).run()
    until(first, "walking")
    until(second, "waiting for the GPU")
    until(first, "finished")
    until(first, "waiting for the GPU")
    assert statuses(store) == ["finished"]
    first.close()
    second.close()


def test_a_command_looks_for_what_can_be_refused_in_its_turn(tmp_path, monkeypatch):
    order = []

    @contextlib.contextmanager
    def in_turn(device, say):
        order.append(f"in on {device}")
        yield
        order.append("out")

    monkeypatch.setattr("labkit.runs.turns.in_turn", in_turn)
    experiment = dataclasses.replace(EXPERIMENT, check=lambda *unused: order.append("check"))
    opened, _ = checked(experiment, SPEC.changed(store=str(tmp_path / "own")))
    opened.close()
    assert order == ["in on cpu", "check", "out"]
