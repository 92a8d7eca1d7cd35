"""Real processes of this machine, one of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from kept import numbers, statuses

from labkit.cluster.processes import MOST, ProcessPool, only
from labkit.cluster.seats import Lost
from labkit.errors import BadInput, LabError
from labkit.runs.events import Point


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_one_of_two_is_killed_and_the_numbers_are_those_of_one_process(sweep, store, asked, alone):
    pool = ProcessPool(2)
    one, killed = sweep(pool, asked.changed(delay=0.05)), False
    for update in one.run():
        if not killed and isinstance(update.event, Point):
            os.kill(next(iter(one._running)).process.pid, signal.SIGKILL)
            killed = True
    assert (one.lost, one.failures) == (1, [])
    assert statuses(store) == ["finished"] * 4
    assert numbers(store) == alone
    assert children() == []


def test_a_seat_says_what_was_raised_and_how_it_died():
    pool = ProcessPool(1)
    try:
        seat = pool.seat()
        seat.ask("open", "no_such_module", {}, b"", 1)
        with pytest.raises(LabError, match="ModuleNotFoundError: No module named 'no_such_module'"):
            seat.answer()
        assert pool.wait([seat], 0.0) == []
        seat.process.kill()
        assert pool.wait([seat], 10.0) == [seat]
        with pytest.raises(Lost, match="exit code -9"):
            seat.answer()
        seat.ask("more")  # to one that is dead already
        with pytest.raises(Lost):
            seat.answer()
    finally:
        pool.close()


FIRST_OF_ALL = """
import os, signal, time
from labkit.cluster.processes import ProcessPool

pool = ProcessPool(1)
seat = pool.seat()
for _ in range(20):
    os.kill(seat.process.pid, signal.SIGINT)
    time.sleep(0.05)
seat.ask("open", "no_such_module", {}, b"", 1)
try:
    seat.answer()
except Exception as error:
    print(error)
pool.close()
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_a_ctrl_c_of_the_terminal_is_not_the_seats_to_handle():
    """Not while it starts either: what comes first is a traceback of Python's own start. In a Python of its own, where
    it is the first process: Python then starts another one before it, and takes care of signals on its own."""
    said = subprocess.run([sys.executable, "-c", FIRST_OF_ALL], capture_output=True, text=True, timeout=60)
    assert said.stdout.splitlines() == ["ModuleNotFoundError: No module named 'no_such_module'", "False"]
    assert said.stderr == ""


def test_a_process_ends_when_nobody_listens():
    seat = ProcessPool(1).seat()
    process = psutil.Process(seat.process.pid)
    seat.pipe.close()
    deadline = time.monotonic() + 20
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    seat.process.join(0.0)
    assert seat.process.exitcode == 0


def test_cards_are_dealt_out_and_a_new_process_takes_the_free_one(monkeypatch):
    made = []

    class Fake:
        def __init__(self, gpu):
            self.gpu, self.process = gpu, self
            self.alive = True
            made.append(self)

        def is_alive(self):
            return self.alive

    monkeypatch.setattr("labkit.cluster.processes.ProcessSeat", Fake)
    pool = ProcessPool(4, gpus=2)
    assert [pool.seat().gpu for _ in range(4)] == [0, 1, 0, 1]
    made[1].alive = False
    assert pool.seat().gpu == 1
    assert ProcessPool(4).seat().gpu is None


@pytest.mark.parametrize("size", [0, -1, MOST + 1])
def test_so_many_workers_are_refused(size):
    with pytest.raises(BadInput, match=f"workers = {size} is not usable; allowed: 1 to {MOST}"):
        ProcessPool(size)


def test_processes_share_the_cores():
    cores = len(os.sched_getaffinity(0))
    assert ProcessPool(1).threads == cores
    assert ProcessPool(2 * cores).threads == 1


def test_the_one_card_of_a_seat_is_among_those_that_are_visible_here():
    """A machine's cards may have been shared out by naming them."""
    assert [only(gpu, "") for gpu in (0, 1)] == ["0", "1"]
    assert [only(gpu, "3, 1") for gpu in (0, 1)] == ["3", "1"]
    assert only(1, "GPU-aa,GPU-bb") == "GPU-bb"
