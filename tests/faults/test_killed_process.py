"""A kernel, or any process, that is killed while it trains (SIGKILL)."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from aftermath import Book, Told, leases
from killable import processes, work

TIMES = 20


def killed(folder: Path, moments: random.Random) -> Told:
    """A process killed at 20 random moments, another going on each time."""
    # What is left is 2.4 s of work at least, more than the moments add up to: no kill comes too late.
    book, context = Book(folder, seeds=4, steps=100, delay=0.004), processes()
    for _ in range(TIMES):
        before = leases(book.path)
        process = context.Process(target=work, args=(book.path, 0.02), kwargs=book.parameters)
        process.start()
        while process.is_alive() and leases(book.path) == before:
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.15))
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            book.struck()
    return book.told("nothing; the next process went on from its checkpoint")


FAULTS = {"process killed": killed}


def test_killed_at_random_moments_it_ends_in_the_same_numbers(tmp_path):
    told = killed(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times == TIMES
