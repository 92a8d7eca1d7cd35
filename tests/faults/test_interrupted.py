"""Ctrl-C, or a notebook's interrupt (SIGINT): once, or twice at once, and the same process goes on."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from aftermath import Book, Told
from killable import processes, work

TIMES = 12


def interrupted(folder: Path, moments: random.Random) -> Told:
    """SIGINT at 12 random moments, every second time twice within 3 ms, in a process of its own."""
    ours, theirs = processes().Pipe()
    process = processes().Process(target=_inside, args=(folder, moments, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _inside(folder: Path, moments: random.Random, told: Connection) -> None:
    book, statuses = Book(folder, seeds=3, steps=100, delay=0.004), 0  # 1.6 s of work, more than the moments
    signal.signal(signal.SIGINT, _only_in_work)
    for number in range(TIMES):
        later = moments.uniform(0.02, 0.1), moments.uniform(0.0, 0.003)
        sender = threading.Thread(target=_send, args=(later[: 1 + number % 2],))
        sender.start()
        try:
            work(book.path, 0.02, **book.parameters)
        except KeyboardInterrupt:
            statuses += 1
        sender.join()
        book.struck()
    told.send(book.told(f"stopped {statuses} times"))


def _only_in_work(number: int, frame: FrameType | None) -> None:
    # As Python's own, but a second signal that comes too late must not end the test.
    while frame is not None:
        if frame.f_code is work.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back


def _send(later: tuple[float, ...]) -> None:
    for seconds in later:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)


FAULTS = {"Ctrl-C, once or twice": interrupted}


def test_interrupted_at_random_moments_the_process_goes_on(tmp_path):
    told = interrupted(tmp_path, random.Random(0))
    assert told.survived, told
    assert (told.times, told.said) == (TIMES, f"stopped {TIMES} times")
