"""The record that every loader of categorical examples returns: ids into vocabularies, and a yes/no label."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.errors import BadInput


@dataclass(frozen=True)
class Table:
    """Categorical examples as they were read, before any split or hashing.

    Args:
        name: a short name for titles; no path.
        columns: the names of the features; ("word",) where an example is a bag of words.
        ids: int64 [n, T]. Column t's id lies in [0, sizes[t]). In a bag: T places of one vocabulary, -1 in empty
            places, and no example without a word.
        sizes: the vocabulary size of each column; a single number for a bag.
        labels: int64 [n], 0 or 1.
        licence: what may be done with the data, and whose they are.
        public: whether the data are published; the fingerprint of any other data is keyed.
        fingerprint: 64 hexadecimal digits that name the source data, before split, thinning and hashing.
        vocabulary: one sentence that says why the vocabulary is public; empty where it is not (`private_vocabulary`).
        bag: whether all places share one vocabulary.
        months: int64 [n], the period of the stream, from 1; None for data without time.
        persons: int64 [n], whose example it is; None where an example stands for itself.
        texts: sentences still to be cut into words by a model's tokenizer; then `ids` is [n, 0] and `sizes` is ().
        synthetic: how the data were generated; empty for real data. Shown wherever they are shown.
    """

    name: str
    columns: tuple[str, ...]
    ids: np.ndarray
    sizes: tuple[int, ...]
    labels: np.ndarray
    licence: str
    public: bool
    fingerprint: str
    vocabulary: str
    bag: bool = False
    months: np.ndarray | None = None
    persons: np.ndarray | None = None
    texts: tuple[str, ...] = ()
    synthetic: str = ""

    def __len__(self) -> int:
        return len(self.labels)


def make_table(
    name: str,
    columns: Sequence[str],
    ids: np.ndarray,
    sizes: Sequence[int],
    labels: np.ndarray,
    *,
    licence: str,
    public: bool,
    vocabulary: str,
    key: bytes = b"",
    bag: bool = False,
    months: np.ndarray | None = None,
    persons: np.ndarray | None = None,
    texts: Sequence[str] = (),
    synthetic: str = "",
) -> Table:
    """A Table with its fingerprint.

    Args:
        key: the store's key, for data that are not public: whoever guesses a record could confirm with a plain hash
            that it is in the data.

    Raises:
        ValueError: the data are not public and no key was given.
    """
    if not public and not key:
        raise ValueError(f"the fingerprint of {name}, which is not public, needs the store's key")
    described = {"columns": list(columns), "sizes": list(sizes), "shape": list(ids.shape), "bag": bag}
    digest = hashlib.sha256() if public else hmac.new(key, digestmod=hashlib.sha256)
    digest.update(json.dumps([described, list(texts)], ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for part, array in (("ids", ids), ("labels", labels), ("months", months), ("persons", persons)):
        if array is not None:
            digest.update(part.encode())
            digest.update(np.ascontiguousarray(array, "<i8").data)
    return Table(
        name,
        tuple(columns),
        np.ascontiguousarray(ids, np.int64),
        tuple(int(size) for size in sizes),
        np.ascontiguousarray(labels, np.int64),
        licence,
        public,
        digest.hexdigest(),
        vocabulary,
        bag,
        *(None if array is None else np.ascontiguousarray(array, np.int64) for array in (months, persons)),
        tuple(texts),
        synthetic,
    )


def rows_of(table: Table) -> int:
    """The rows of all embedding tables together."""
    return sum(table.sizes)


def private_vocabulary(table: Table) -> bool:
    """Whether nobody declared the vocabulary public: ids are wide public hashes then, which `hashed` must fold.

    A vocabulary that is built from private data tells by its very rows who and what is in them.
    """
    return not table.vocabulary


def check_ids(table: Table) -> None:
    """Refuse ids outside the vocabulary.

    Raises:
        BadInput: the first id in the wrong place, with its column, row (from 0) and value, or the first empty row.
    """
    sizes = np.asarray(table.sizes * table.ids.shape[1] if table.bag else table.sizes, np.int64)
    if table.ids.shape[1] != len(sizes):
        allowed = f"one id for each of {len(sizes)} columns; rows have {table.ids.shape[1]}"
        raise BadInput("data", table.name, allowed)
    lowest = -1 if table.bag else 0
    wrong = (table.ids < lowest) | (table.ids >= sizes)
    if wrong.any():
        row, place = (int(index) for index in np.argwhere(wrong)[0])
        column, size = (table.columns[0], table.sizes[0]) if table.bag else (table.columns[place], table.sizes[place])
        allowed = f"ids 0 to {size - 1} in column {column}; row {row} has {table.ids[row, place]}"
        raise BadInput("data", table.name, allowed)
    if table.bag and (empty := (table.ids < 0).all(axis=1)).any():
        raise BadInput(
            "data", table.name, f"a word in every row of column {table.columns[0]}; row {empty.argmax()} has none"
        )
