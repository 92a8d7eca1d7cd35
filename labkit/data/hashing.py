"""Vocabularies of any size by hashing: a public function of column and id, whatever the data hold."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import numpy as np

from labkit.data.table import Table, private_vocabulary, rows_of
from labkit.errors import BadInput

WIDE = 2**60  # buckets of a value whose column has no declared vocabulary: wide enough for almost no collision


def wide_hash(column: str, value: str) -> int:
    """A public 60-bit number for a value of a column: blake2b of both names, which holds no key and no data."""
    text = f"{column}\0{value}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little") % WIDE


def common_cap(sizes: tuple[int, ...], rows: int) -> int:
    """The largest cap with sum(min(size, cap)) <= rows.

    Returns:
        0 where there are more columns than rows; the largest size where all fit.
    """
    if sum(sizes) <= rows:
        return max(sizes, default=0)
    left, ordered = rows, sorted(sizes)
    for place, size in enumerate(ordered):
        cap = left // (len(ordered) - place)
        if cap < size:
            return cap
        left -= size
    return ordered[-1]


def hashed(table: Table, vocabulary: int) -> Table:
    """The same examples with no more than so many rows in all.

    Every column larger than a common cap is hashed into that many buckets; smaller columns stay as they are. The
    fingerprint stays: it names the source data.

    Args:
        vocabulary: rows of all columns together; 0 for the table as it is.

    Raises:
        BadInput: fewer rows than columns.
    """
    if vocabulary == 0 or (rows_of(table) <= vocabulary and not private_vocabulary(table)):
        return table
    cap = common_cap(table.sizes, vocabulary) if vocabulary > 0 else 0
    if cap < 1:
        allowed = f"{len(table.sizes)} rows or more, one for each column, or 0 for the vocabulary as it is"
        raise BadInput("vocabulary", vocabulary, allowed)
    ids, columns = table.ids.copy(), list(zip(table.columns, table.sizes, strict=True))
    if table.bag:
        ids = _buckets(ids, columns[0][0], cap)
    else:
        for place, (column, size) in enumerate(columns):
            if size > cap:
                ids[:, place] = _buckets(ids[:, place], column, cap)
    sizes = tuple(min(size, cap) for size in table.sizes)
    said = f"hashed into {sum(sizes):,} buckets, whatever the data hold"
    if not private_vocabulary(table) and min(table.sizes) <= cap:
        said = f"{table.vocabulary}; columns of more than {cap:,} ids hashed into {cap:,} buckets each"
    return replace(table, ids=ids, sizes=sizes, vocabulary=said)


def _buckets(ids: np.ndarray, column: str, cap: int) -> np.ndarray:
    """Each id's bucket; -1, an empty place, stays."""
    distinct, where = np.unique(ids, return_inverse=True)
    buckets = [number if number < 0 else wide_hash(column, str(number)) % cap for number in distinct.tolist()]
    return np.asarray(buckets, np.int64)[where].reshape(ids.shape)
