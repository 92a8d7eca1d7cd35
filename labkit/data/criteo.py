"""Criteo's clicks (Kaggle 2014) from a user's own file: 13 whole numbers and 26 categories of 32 bits, hashed later."""

from __future__ import annotations

import gzip
from array import array
from pathlib import Path

import numpy as np

from labkit.data.checks import MINIMUM
from labkit.data.csv_table import reading
from labkit.data.table import Table, make_table
from labkit.errors import BadInput

NUMBERS, CATEGORIES = 13, 26
COLUMNS = (*(f"I{place + 1}" for place in range(NUMBERS)), *(f"C{place + 1}" for place in range(CATEGORIES)))
LOWEST, PLAIN, HIGHEST = -3, 2, 2**31 - 1  # numbers up to PLAIN keep a bucket each, from LOWEST; HIGHEST is int32's
OFFSET = 1 - LOWEST  # bucket 0 is for missing ones
BUCKETS = OFFSET + PLAIN + int(np.log(HIGHEST) ** 2) + 1
CATEGORY = 2**32 + 1  # a missing one, and every number of 32 bits
MISSING = -(2**63)
MOST = 5_000_000  # rows: 1.6 GB of ids
LICENCE = "terms of Criteo (CC BY-NC-SA 4.0 for the Kaggle set), from your own file"


def buckets(numbers: np.ndarray) -> np.ndarray:
    """The public bucket of a whole number: floor(log(x)^2) above 2, one each below, one for a missing one.

    Args:
        numbers: int64, `MISSING` where there is none. Above 2^31 - 1 and below -3 they count as those.

    Returns:
        int64, from 0 (missing) to BUCKETS - 1 (467).
    """
    kept = np.clip(numbers, LOWEST, HIGHEST)
    large = PLAIN + np.floor(np.log(np.maximum(kept, 1)) ** 2).astype(np.int64)
    return np.where(numbers == MISSING, 0, OFFSET + np.where(kept > PLAIN, large, kept))


def load(path: Path, source: str, key: bytes = b"") -> Table:
    """Read a file in Criteo's layout: label, 13 whole numbers and 26 hexadecimal categories, separated by tabs.

    A missing value, an empty field, is a value of its own. The categories' 2^32 ids have to be hashed.

    Args:
        path: the file, plain or .gz.
        source: the `data` parameter as it was given.
        key: the store's key, for the fingerprint.

    Raises:
        BadInput: what cannot be used, with its line.
        ValueError: no key was given.
    """
    read = array("q")
    with reading(path, source), gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 1 + len(COLUMNS):
                allowed = f"{1 + len(COLUMNS)} fields in every line; line {number} has {len(fields)}"
                raise BadInput("data", source, allowed)
            if fields[0] not in ("0", "1"):
                raise BadInput("data", source, f"a label of 0 or 1; line {number} has {fields[0]!r}")
            if number > MOST:
                raise BadInput("data", source, f"at most {MOST:,} lines, which fit in memory: cut the file")
            try:
                read.append(int(fields[0]))
                read.extend(int(field) if field else MISSING for field in fields[1 : 1 + NUMBERS])
                read.extend(int(field, 16) if field else MISSING for field in fields[1 + NUMBERS :])
            except (ValueError, OverflowError):
                raise BadInput("data", source, f"whole numbers and hexadecimal ones; not in line {number}") from None
    rows = np.frombuffer(read, np.int64).reshape(-1, 1 + len(COLUMNS))
    labels, categories = rows[:, 0], rows[:, 1 + NUMBERS :]
    if len(rows) < MINIMUM:
        raise BadInput("data", source, f"at least {MINIMUM} lines; there are {len(rows)}")
    if labels.min() == labels.max():
        raise BadInput("data", source, f"labels of both kinds; every label is {labels[0]}")
    wide = (categories >= CATEGORY - 1) | ((categories < 0) & (categories != MISSING))
    if wide.any():
        line = int(wide.any(axis=1).argmax()) + 1
        raise BadInput("data", source, f"categories of eight hexadecimal digits; line {line} has others")
    ids = np.concatenate(
        [buckets(rows[:, 1 : 1 + NUMBERS]), np.where(categories == MISSING, 0, categories + 1)], axis=1
    )
    return make_table(
        "Criteo",
        COLUMNS,
        ids,
        (BUCKETS,) * NUMBERS + (CATEGORY,) * CATEGORIES,
        labels,
        licence=LICENCE,
        public=False,
        vocabulary="",
        key=key,
    )
