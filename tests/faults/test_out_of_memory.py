"""Memory that runs out in the middle of a run, of the GPU or of the machine."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from aftermath import Book, Told, at
from killable import work
from torch.cuda import OutOfMemoryError

from labkit.runs import Store

GPU = "CUDA out of memory. Tried to allocate 2.00 GiB."
EVENTS = 60
SEEDS = 6


def _exhausted(folder: Path, moments: random.Random, error: BaseException) -> Told:
    book, said = Book(folder, seeds=SEEDS, steps=10), ""

    def strike() -> None:
        raise error

    for seeds in range(2, SEEDS + 1):
        for _ in range(2):
            try:
                struck = at(moments.randrange(EVENTS // 4), strike)
                work(book.path, 0.0, experiment=struck, **book.parameters | {"seeds": seeds})
            except type(error):
                with Store(book.path) as store:
                    (said,) = [row["error"] for row in store.replicates() if row["status"] == "failed"]
                book.struck()
        work(book.path, 0.0, **book.parameters | {"seeds": seeds})
    return book.told(f"marked failed: {said}")


def of_the_gpu(folder: Path, moments: random.Random) -> Told:
    """What torch raises when the GPU has no memory left."""
    return _exhausted(folder, moments, OutOfMemoryError(GPU))


def of_the_machine(folder: Path, moments: random.Random) -> Told:
    """What Python raises when the machine has none left."""
    return _exhausted(folder, moments, MemoryError())


FAULTS = {"out of GPU memory": of_the_gpu, "out of memory": of_the_machine}


@pytest.mark.parametrize(("fault", "said"), [(of_the_gpu, f"OutOfMemoryError: {GPU}"), (of_the_machine, "MemoryError")])
def test_the_run_is_failed_in_words_and_goes_on(tmp_path, fault, said):
    told = fault(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times >= SEEDS
    assert told.said == f"marked failed: {said}"
