"""Write the small store that test_old_stores*.py open, with the labkit of a commit of then.

    git clone -q . THEN && git -C THEN checkout -q 2e1316c
    PYTHONPATH=THEN python tests/runs/make_old_store.py FOLDER

2e1316c is where the first issue landed: notebooks 00 and 01 on schema 1. Only names that labkit had then are used. The
folder is new, and what is random in it beside the numbers (tokens) differs from one making to the next; so the store in
tests/runs/old_store is not made again but kept: its bytes are what that labkit wrote.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import labkit
from labkit import experiments
from labkit.runs import Store, Worker, owner, worker
from labkit.runs.store import FILE

SMALL = {"data": "digits", "device": "cpu", "budget": 4, "width": 4, "steps": 20, "evaluations": 2}
ELSEWHERE = "0" * 16  # a host that no machine has
THEN = 1_763_791_200.0  # seconds since the epoch: a day in November 2025
SEARCH, TOUR = experiments.get("01"), experiments.get("00")


def run(store: Store, experiment: object = SEARCH, **given: object) -> Iterator[object]:
    """The updates of a run."""
    yield from Worker(experiment, experiment.spec.of(**given), store).run()


def broken(*unused: object) -> Iterator[object]:
    """The events of a training whose disk was pulled out."""
    events = SEARCH.run(*unused)
    for _ in range(5):
        yield next(events)
    raise RuntimeError("the data went away")


def make(store: Store) -> None:
    """Replicates of notebook 01 of every kind, some of them left half done, and a finished one of notebook 00."""
    list(run(store, **SMALL, sparsity="0.5,0.75,0.95", seeds=2, landscape_size=3))
    list(run(store, TOUR, data="digits", device="cpu", sparsity=0.5, budget=2, seeds=1))
    try:
        list(run(store, dataclasses.replace(SEARCH, run=broken), **SMALL, sparsity=0.25, seeds=1, landscape_size=0))
    except RuntimeError as error:
        print("failed, as asked:", error)
    with mock.patch.object(worker, "CHECKPOINT_SECONDS", 0.0):
        halfway(run(store, **SMALL, sparsity=0.6, seeds=1, landscape_size=0))
        # A process that is killed gives nothing back: its lease stays.
        with (
            mock.patch.object(owner, "_host", return_value=ELSEWHERE),
            mock.patch.object(Store, "stop"),
        ):
            halfway(run(store, **SMALL, sparsity=0.4, seeds=1, landscape_size=0))


def halfway(updates: Iterator[object]) -> None:
    """Stop where a chunk is stored and the next has a checkpoint."""
    chunks = checkpoints = 0
    for update in updates:
        chunks += type(update.event).__name__ == "Chunk"
        checkpoints += chunks > 0 and type(update.event).__name__ == "Checkpoint"
        if checkpoints == 5:
            break
    updates.close()


def main(folder: Path) -> None:
    if not Path(labkit.__file__).resolve().is_relative_to(Path(sys.path[1]).resolve()):
        raise SystemExit(f"this is the labkit of {labkit.__file__}: set PYTHONPATH to the one of then")
    folder.mkdir()
    with Store(folder, clock=lambda: THEN) as store:
        make(store)
    connection = sqlite3.connect(folder / FILE)
    connection.execute("VACUUM")
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
