"""A run on a disk that is really full, told as JSON on stdout: tests/faults/test_disk_really_full.py starts this on a
small file system of its own."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import random
import sys
from pathlib import Path

from aftermath import Book, Told
from killable import work

from labkit.errors import LabError
from labkit.runs.database import FULL

STRIKES = 20
WORDS = (FULL, os.strerror(errno.ENOSPC))
MOST = 30  # blocks that are left free, at most: a run needs more, for the log of the database alone


def fill(folder: Path, blocks: int) -> Path:
    """A file that takes all room but so many blocks."""
    filler, disk = folder / "filler", os.statvfs(folder)
    with open(filler, "xb", buffering=0) as stream:
        for _ in range(disk.f_bavail - blocks):
            stream.write(bytes(disk.f_frsize))
    return filler


def strikes(folder: Path, moments: random.Random) -> Told:
    """Attempts with hardly any room, and one with enough at the end."""
    book, said = Book(folder, steps=12), []
    for _ in range(STRIKES):
        filler = fill(folder, moments.randint(0, MOST))
        try:
            work(book.path, 0.0, **book.parameters)
        except LabError as error:
            said.append(next((word for word in WORDS if word in str(error)), str(error)))
        else:
            continue
        finally:
            filler.unlink()
        book.struck()
    return book.told("; ".join(f"{said.count(word)} times: {word}" for word in dict.fromkeys(said)))


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(strikes(Path(sys.argv[1]), random.Random(int(sys.argv[2]))))))
