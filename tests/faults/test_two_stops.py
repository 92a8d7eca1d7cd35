"""Two people who stop the same run at once, from two pages of one panel."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from unittest import mock

from aftermath import Book, Told
from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA

from labkit.runs import Store, Worker, worker
from widgets.session import Ended, Session

TIMES = 10


def stopped_twice(folder: Path, moments: random.Random) -> Told:
    """Two threads stop the session of a panel at the same moment; the panel's process goes on."""
    book, ends = Book(folder, seeds=3, steps=100, delay=0.004), []  # 1.6 s of work at least: more than the moments
    for _ in range(TIMES):
        ended = _run_and_stop(book, moments.uniform(0.02, 0.12))
        if ended.how == "stopped":
            ends.append(ended)
            book.struck()
    return book.told("stopped, said once" if len(ends) == TIMES else f"{len(ends)} of {TIMES} stopped")


def _run_and_stop(book: Book, moment: float) -> Ended:
    together = threading.Barrier(2)
    with mock.patch.object(worker, "CHECKPOINT_SECONDS", 0.04), Store(book.path) as store:
        spec = FakeSpec.of(device="cpu", **book.parameters)
        session = Session("run", lambda: Worker(EXPERIMENT, spec, store, load=lambda *unused: DATA).run())
        messages = session.read("page")

        def stop() -> None:
            together.wait()
            session.stop()

        people = [threading.Thread(target=stop) for _ in range(2)]
        session.start()
        while messages.empty():
            time.sleep(0.001)
        time.sleep(moment)
        for person in people:
            person.start()
        for person in people:
            person.join()
        session.join()
    said = []
    while not messages.empty():
        said.append(messages.get())
    (ended,) = [message for message in said if isinstance(message, Ended)]
    if ended.error:
        raise ended.error
    return ended


FAULTS = {"two people stop it": stopped_twice}


def test_a_run_stopped_by_two_is_stopped_once_and_goes_on(tmp_path):
    told = stopped_twice(tmp_path, random.Random(0))
    assert told.survived, told
    assert (told.times, told.said) == (TIMES, "stopped, said once")
