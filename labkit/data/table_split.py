"""One way to split categorical examples: shuffled by its own seed, by example, by person, or along the stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.data.table import Table, rows_of
from labkit.errors import BadInput

TRAIN, SELECTION = 0.70, 0.10  # of all units; the rest is the test part
STREAM_TEST, STREAM_SELECTION = 0.25, 0.10  # of the periods, and of the examples of the periods before
BY = ("example", "person")
MINIMUM = 10  # units: each part gets at least one


@dataclass(frozen=True)
class Examples:
    """Examples of one part of a split.

    Args:
        ids: int64 [n, T], *joint* rows: column t's ids are shifted by sum(sizes[:t]), so that all columns share one
            table of sum(sizes) rows; -1 in empty places of a bag.
        labels: int64 [n], 0 or 1.
        months, persons: int64 [n] as in `Table`, or None.
    """

    ids: np.ndarray
    labels: np.ndarray
    months: np.ndarray | None = None
    persons: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TableSplit:
    """A table in three parts that share no example.

    Args:
        name, columns, sizes, fingerprint, bag, vocabulary, licence, synthetic: as in `Table`.
        train: what is trained on; the only part that a privacy guarantee covers.
        selection: what settings and thresholds are chosen on.
        test: what is reported; never selects anything.
        public: whether the data are published.
    """

    name: str
    columns: tuple[str, ...]
    sizes: tuple[int, ...]
    fingerprint: str
    train: Examples
    selection: Examples
    test: Examples
    bag: bool = False
    vocabulary: str = ""
    licence: str = ""
    synthetic: str = ""
    public: bool = False


def split_table(table: Table, split_seed: int, by: str = "example", stream: bool = False) -> TableSplit:
    """Shuffle and cut: 70 % train, 10 % selection, 20 % test (229,142, 32,735 and 65,469 flights).

    Args:
        split_seed: the seed of the shuffle; it depends on nothing else.
        by: "example", or "person" to keep all examples of a person in one part; then the shares are of persons.
        stream: cut along time instead: the last quarter of the periods is the test part (months 10 to 12), of the
            examples before it a tenth, drawn at random, is the selection part.

    Raises:
        BadInput: an unknown `by`, no persons or periods where they are needed, persons along the stream, fewer than
            ten units, or a vocabulary that has to be hashed first.
        ValueError: the sentences have not been cut into words yet.
    """
    from labkit.streams import stream as generator

    if table.texts and not table.sizes:
        raise ValueError(f"the sentences of {table.name} have to be cut into words before the split")
    if by not in BY:
        raise BadInput("unit", by, " or ".join(BY))
    if by == "person" and table.persons is None:
        raise BadInput("unit", by, f"example: {table.name} does not say whose its examples are")
    if rows_of(table) >= 2**62:
        raise BadInput("vocabulary", 0, "a number of buckets to hash into: these ids are hashes of 60 bits")
    if stream:
        parts = _along_time(table, generator(split_seed, "split", "stream"), by)
    else:
        unit_of = np.arange(len(table)) if by == "example" else np.unique(table.persons, return_inverse=True)[1]
        units = _enough(int(unit_of.max(initial=-1)) + 1, by, table)
        order = _shuffled(units, generator(split_seed, "split", by))
        part_of = np.empty(units, np.int8)
        cuts = [round(TRAIN * units), round(TRAIN * units) + round(SELECTION * units)]
        for number, chosen in enumerate(np.split(order, cuts)):
            part_of[chosen] = number
        mixed = _shuffled(len(table), generator(split_seed, "split", "order"))
        parts = [mixed[part_of[unit_of[mixed]] == number] for number in range(3)]
    return TableSplit(
        table.name,
        table.columns,
        table.sizes,
        table.fingerprint,
        *(_part(table, rows) for rows in parts),
        bag=table.bag,
        vocabulary=table.vocabulary,
        licence=table.licence,
        synthetic=table.synthetic,
        public=table.public,
    )


def capped_units(persons: np.ndarray | None, at_most: int, seed: int, examples: int = 0) -> np.ndarray:
    """The protected units: the examples of each person, at most so many.

    Args:
        persons: int64 [n], whose each example is; None where an example stands for itself.
        at_most: public. A person with more keeps so many at random.
        seed: of that choice.
        examples: how many there are, where `persons` is None.

    Returns:
        int64 [units, at_most]: rows of the examples, ascending, then -1 in empty places; one unit for each person, by
        ascending number. Without persons: each row alone, [examples, 1].

    Raises:
        BadInput: `at_most` below 1.
    """
    from labkit.streams import stream

    if at_most < 1:
        raise BadInput("at_most", at_most, "1 or more examples of a person")
    if persons is None:
        return np.arange(examples)[:, None]
    order = _shuffled(len(persons), stream(seed, "capped"))
    order = order[np.argsort(persons[order], kind="stable")]
    _, first, counts = np.unique(persons[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, counts)
    unit = np.repeat(np.arange(len(counts)), counts)
    rows = np.full((len(counts), at_most), len(persons), np.int64)
    kept = place < at_most
    rows[unit[kept], place[kept]] = order[kept]
    rows.sort(axis=1)
    rows[rows == len(persons)] = -1
    return rows


def _along_time(table: Table, generator: object, by: str) -> list[np.ndarray]:
    if table.months is None:
        raise BadInput("order", "months", f"year: {table.name} does not say when its examples were")
    if by == "person":
        raise BadInput("order", "months", "year where a person is the unit: a person has examples before and after")
    periods = np.unique(table.months)
    if len(periods) < 2:
        raise BadInput("order", "months", f"year: all examples of {table.name} are of one period")
    late = table.months >= periods[-max(1, round(STREAM_TEST * len(periods)))]
    early = np.flatnonzero(~late)
    order = early[_shuffled(_enough(len(early), by, table), generator)]
    selection = round(STREAM_SELECTION * len(order))
    return [order[selection:], order[:selection], np.flatnonzero(late)]


def _enough(units: int, by: str, table: Table) -> int:
    if units < MINIMUM:
        raise BadInput("data", table.name, f"at least {MINIMUM} {by}s to split; there are {units}")
    return units


def _part(table: Table, rows: np.ndarray) -> Examples:
    ids = table.ids[rows]
    if not table.bag:
        ids = ids + np.concatenate([[0], np.cumsum(table.sizes[:-1])]).astype(np.int64)
    months, persons = (None if array is None else array[rows] for array in (table.months, table.persons))
    return Examples(ids, table.labels[rows], months, persons)


def _shuffled(n: int, generator: object) -> np.ndarray:
    import torch

    return torch.randperm(n, generator=generator).numpy()
