from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import psutil
import pytest
from clock import Clock
from fake_experiment import FakeSpec
from killable import processes

from labkit.errors import Busy
from labkit.runs import RunKey, Store, lease
from labkit.runs import owner as owner_room
from labkit.runs.events import Point
from labkit.runs.owner import LeaseLost, Owner

SPEC = FakeSpec.of(sparsity=0.5)
KEY = RunKey("99", "a" * 16, 0, "cpu")


@pytest.fixture
def clock():
    return Clock(1000.0)


@pytest.fixture
def store(tmp_path, clock):
    with Store(tmp_path / "store", clock=clock) as opened:
        yield opened


def change_lease(store: Store, **columns: object) -> None:
    """Write into the lease's row, as if another process held it."""
    with sqlite3.connect(store.path / "labkit.sqlite") as connection:
        connection.execute(f"UPDATE lease SET {', '.join(f'{c} = ?' for c in columns)}", tuple(columns.values()))
    connection.close()


def test_this_process_lives():
    assert Owner.here().living(heartbeat=0.0, now=1e9)  # however old its heartbeat: the process table knows


def test_a_dead_process_does_not():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    here = Owner.here()
    child.wait()
    assert not Owner(here.host, child.pid, here.started).living(heartbeat=1e9, now=1e9)


def test_a_zombie_does_not():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    started = owner_room._started(psutil.Process(child.pid))
    deadline = time.monotonic() + 20
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Owner(Owner.here().host, child.pid, started).living(heartbeat=0.0, now=0.0)
    child.wait()


def test_a_reused_process_id_is_another_process():
    here = Owner.here()
    assert not Owner(here.host, here.pid, here.started - 5.0).living(heartbeat=0.0, now=0.0)


@pytest.mark.parametrize(("age", "lives"), [(0.0, True), (30.0, True), (30.1, False)])
def test_elsewhere_the_heartbeat_decides(age, lives):
    assert Owner("another machine", 1, 0.0).living(heartbeat=100.0, now=100.0 + age) is lives


def test_a_killed_process_on_this_machine_is_taken_over_at_once(store):
    process = processes().Process(target=_claim_and_wait, args=(store.path,))
    process.start()
    deadline = time.monotonic() + 20
    while store.points(KEY, "curve") == [] and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(Busy, match=str(process.pid)):
        store.claim(KEY, SPEC)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert store.status(KEY) == "stopped"
    with store.claim(KEY, SPEC):
        assert store.status(KEY) == "running"


def _claim_and_wait(path) -> None:
    store = Store(path)
    with store.claim(KEY, SPEC):
        store.write(KEY, Point("curve", {"step": 1}))
        time.sleep(60)


def test_another_machine_is_taken_over_when_its_heartbeat_stops(tmp_path, clock):
    with Store(tmp_path, clock=clock) as theirs, Store(tmp_path, clock=clock) as ours:
        with theirs.claim(KEY, SPEC):
            change_lease(theirs, host="another machine")
            clock.now += 29
            with pytest.raises(Busy):
                ours.claim(KEY, SPEC)
            clock.now += 2
            assert ours.status(KEY) == "stopped"
            with ours.claim(KEY, SPEC):
                with pytest.raises(LeaseLost):  # it was only slow: it may write nothing any more
                    theirs.write(KEY, Point("curve", {"step": 1}))
                with pytest.raises(LeaseLost):
                    theirs.finish(KEY)
                ours.write(KEY, Point("curve", {"step": 2}))
                ours.finish(KEY)
        # Leaving the lost lease's block did not disturb what the new owner wrote.
        assert ours.status(KEY) == "finished"
        assert ours.points(KEY, "curve") == [{"step": 2}]


def test_the_heart_beats_while_the_block_is_open(store, clock, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with store.claim(KEY, SPEC):
        clock.now = 2000.0
        deadline = time.monotonic() + 20
        while _heartbeat(store) != 2000.0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _heartbeat(store) == 2000.0
    assert _heartbeat(store) is None


def _heartbeat(store: Store) -> float | None:
    rows = store._database.read("SELECT heartbeat FROM lease")
    return rows[0]["heartbeat"] if rows else None


def test_a_heart_stops_when_its_lease_is_gone(store, monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.01)
    with store.claim(KEY, SPEC) as held:
        change_lease(store, token="of another owner")
        held._alone._thread.join(timeout=20)
        assert not held._alone._thread.is_alive()
