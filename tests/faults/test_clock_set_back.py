"""The machine's clock set back while something runs: by hand, by a time server, by a battery that died."""

from __future__ import annotations

import ast
import dataclasses
import random
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import psutil
import pytest
import torch
from aftermath import Book, Told, at
from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA

import labkit.runs
from labkit.errors import Busy
from labkit.runs import RunKey, Store, Worker, worker
from labkit.runs.events import Checkpoint
from labkit.runs.owner import Owner, Watch
from labkit.runs.pace import Pace

HOUR = 3600.0
TIMES = 5
SPEC = FakeSpec.of(sparsity=0.5)
KEY = RunKey("99", "a" * 16, 0, "cpu")


class Clock:
    """A clock that somebody sets."""

    def __init__(self, source: Callable[[], float]) -> None:
        self._source, self.set = source, 0.0

    def __call__(self) -> float:
        return self._source() + self.set


def set_back(folder: Path, moments: random.Random) -> Told:
    """The clocks of store and worker go back an hour in the middle of each of five replicates."""
    book = Book(folder, seeds=1 + TIMES, steps=30)
    wall, steady = Clock(time.time), Clock(time.monotonic)

    def strike() -> None:
        wall.set -= HOUR
        steady.set -= HOUR

    left, spec = [], FakeSpec.of(device="cpu", **book.parameters)
    for seeds in range(2, 2 + TIMES):
        struck = at(moments.randrange(20, 160), strike)
        with (
            mock.patch.object(worker, "CHECKPOINT_SECONDS", 0.0),
            Store(book.path, clock=wall, ticks=time.monotonic) as store,
        ):
            run = Worker(struck, spec.changed(seeds=seeds), store, load=lambda *unused: DATA, clock=steady).run()
            left += [update.seconds_left for update in run if update.seconds_left is not None]
        book.struck()
    return book.told(f"nothing; time left was between {min(left):.0f} and {max(left):.0f} s")


FAULTS = {"clock set back an hour": set_back}


def test_a_clock_set_back_disturbs_no_run(tmp_path):
    told = set_back(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times == TIMES
    low, high = (int(word) for word in told.said.split() if word.isdigit())
    assert 0 <= low <= high < 60


def test_time_worked_goes_on_from_where_it_was():
    clock = Clock(lambda: 10_000.0)
    pace = Pace(clock)
    pace.go()
    clock.set += 8
    assert pace.elapsed() == 8
    clock.set -= HOUR
    assert pace.elapsed() == 8
    clock.set += 4
    assert pace.elapsed() == 12


def test_a_checkpoint_is_still_kept_every_fifteen_seconds(tmp_path):
    clock, made = Clock(lambda: 10_000.0), []

    def run(point, seed, resources):
        for step in range(50):
            clock.set += -HOUR if step == 20 else 1.0
            yield Checkpoint("arm", lambda step=step: made.append(step) or {"step": torch.tensor(step)})

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    with Store(tmp_path) as store:
        spec = FakeSpec.of(sparsity=0.5, seeds=1, device="cpu")
        list(Worker(experiment, spec, store, load=lambda *unused: DATA, clock=clock).run())
        assert made == [14, 30, 45]  # the step in which it was set counts as none
        assert store.replicates()[0]["record"]["wall_seconds"] == 49


def test_a_heartbeat_from_the_future_ages_from_when_it_was_first_seen():
    wall, ticks = Clock(lambda: 1000.0), Clock(lambda: 0.0)
    watch = Watch(wall, ticks)
    assert watch.age("a", 900.0) == 100.0
    assert watch.age("a", 5000.0) == 0.0
    ticks.set += 20
    assert watch.age("a", 5000.0) == 20.0
    assert watch.age("b", 5000.0) == 0.0  # each lease for itself
    assert watch.age("a", 5005.0) == 0.0  # it beats: whatever its clock says, it lives
    ticks.set += 7
    assert watch.age("a", 5005.0) == 7.0
    assert watch.age("a", 990.0) == 10.0


@pytest.fixture
def theirs(tmp_path):
    """A lease of another machine, its last heartbeat an hour after what the clock here says."""
    wall, ticks = Clock(lambda: 1e6), Clock(lambda: 0.0)
    with Store(tmp_path, clock=wall, ticks=ticks) as ours, ours.claim(KEY, SPEC):
        with ours._database.write() as db:
            db.execute("UPDATE lease SET host = 'another machine', heartbeat = ?", (1e6 + HOUR,))
        yield ours, ticks


def test_a_dead_lease_from_the_future_is_taken_over_in_half_a_minute(theirs):
    store, ticks = theirs
    for _ in range(3):  # whoever waits asks again and again
        with pytest.raises(Busy):
            store.claim(KEY, SPEC)
        ticks.set += 10
    ticks.set += 1
    with store.claim(KEY, SPEC):
        assert store.status(KEY) == "running"


def test_a_living_lease_from_the_future_is_not_taken_over(theirs):
    store, ticks = theirs
    for beat in range(12):
        with pytest.raises(Busy):
            store.claim(KEY, SPEC)
        ticks.set += 10
        with store._database.write() as db:
            db.execute("UPDATE lease SET heartbeat = ?", (1e6 + HOUR + beat,))


@pytest.mark.parametrize("remembers", [False, True])
def test_a_process_is_known_by_when_it_began_after_the_boot(monkeypatch, remembers):
    here, real, booted = Owner.here(), psutil.boot_time, [psutil.boot_time()]

    class Process(psutil.Process):  # that of psutil 6 reckons, when it is made, with the boot as it was last asked for
        def __init__(self, pid: int | None = None) -> None:
            super().__init__(pid)
            self.boot = booted[0] if remembers else real() - HOUR

        def create_time(self) -> float:
            return super().create_time() - real() + self.boot

    def boot_time() -> float:
        booted[0] = real() - HOUR
        return booted[0]

    monkeypatch.setattr(psutil, "Process", Process)
    monkeypatch.setattr(psutil, "boot_time", boot_time)
    assert here.living(heartbeat=0.0, now=0.0)
    booted[0] = real()
    assert here.is_here()


def test_the_only_wall_clock_is_the_stores_argument():
    asked = []
    for file in Path(labkit.runs.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in ("time", "datetime"):
                asked.append((file.name, f"from {node.module}"))
            called = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if called and node.value.id in ("time", "datetime"):
                asked.append((file.name, node.attr))
    wall = [place for place in asked if place[1] not in ("monotonic", "perf_counter", "sleep")]
    assert wall == [("store.py", "time")]
