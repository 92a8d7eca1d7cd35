"""Any CSV file as a table: a column `label`, perhaps `person` and `month`, and every other column a feature."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labkit.data.own_table import own_table
from labkit.data.table import Table
from labkit.errors import BadInput

LABEL, PERSON, MONTH = "label", "person", "month"


def load(path: Path, source: str, key: bytes = b"") -> Table:
    """Read a CSV file with a header.

    `label` holds 0 or 1. `person`, where it is there, says whose an example is; `month`, the period of the stream, from
    1. Every other column is a feature, whose values are strings.

    Args:
        path: the file, in UTF-8.
        source: the `data` parameter as it was given.
        key: the store's key, for the fingerprint.

    Raises:
        BadInput: what cannot be used, with its line.
        ValueError: no key was given.
    """
    columns, rows, lines = read_csv(path, source)
    if LABEL not in columns:
        raise BadInput("data", source, f"a column called {LABEL}; there are {', '.join(columns)}")
    features = [column for column in columns if column not in (LABEL, PERSON, MONTH)]
    if not features:
        raise BadInput("data", source, f"one or more columns beside {LABEL}, {PERSON} and {MONTH}")
    strings = columns_of(columns, rows)
    for line, label in zip(lines, strings[LABEL], strict=True):
        if label not in ("0", "1"):
            raise BadInput("data", source, f"0 or 1 in column {LABEL}; line {line} has {label!r}")
    months = strings.get(MONTH)
    for line, month in zip(lines, months or (), strict=bool(months)):
        if not (month.isascii() and month.isdecimal() and 1 <= int(month) < 2**31):
            raise BadInput("data", source, f"whole numbers from 1 in column {MONTH}; line {line} has {month!r}")
    return own_table(
        path.stem,
        source,
        path,
        {column: strings[column] for column in features},
        [label == "1" for label in strings[LABEL]],
        lines,
        key=key,
        months=None if months is None else [int(month) for month in months],
        persons=strings.get(PERSON),
    )


def read_csv(path: Path, source: str, needed: Sequence[str] = ()) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows without blanks around their fields, and the line of each.

    Args:
        needed: the columns to keep, in this order; all of them where there are none.

    Raises:
        BadInput: a file that cannot be read, a column that is missing or named twice, or a row with an empty field, no
            field, or too few or too many.
    """
    rows, lines = [], []
    with reading(path, source), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [column.strip() for column in next(reader, [])]
        if missing := [column for column in needed if column not in header]:
            raise BadInput("data", source, f"the columns {', '.join(needed)}; {', '.join(missing)} is not there")
        columns = list(needed) or header
        if not header or len(set(columns)) < len(columns) or "" in columns:
            raise BadInput("data", source, f"a first line with the name of each column, each once; it is {header}")
        places = [header.index(column) for column in columns]
        for row in reader:
            line = reader.line_num
            if len(row) != len(header):
                what = f"{len(header)} fields in every row; line {line} has {len(row)}"
                raise BadInput("data", source, what if row else f"no empty row; line {line} is one")
            kept = [row[place].strip() for place in places]
            if "" in kept:
                raise BadInput("data", source, f"no empty field; line {line} has one, {columns[kept.index('')]}")
            rows.append(kept)
            lines.append(line)
    return columns, rows, lines


def columns_of(columns: Sequence[str], rows: list[list[str]]) -> dict[str, list[str]]:
    """Rows of strings as columns of strings."""
    return {column: [row[place] for row in rows] for place, column in enumerate(columns)}


@contextmanager
def reading(path: Path, source: str) -> Iterator[None]:
    """Whatever can be wrong with a text file, as one line.

    Raises:
        BadInput: the file cannot be read, is no UTF-8, or is no CSV.
    """
    try:
        yield
    except BadInput:
        raise
    except (OSError, ValueError, csv.Error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput("data", source, f"a text file that can be read; {path.name} cannot: {reason}") from error
