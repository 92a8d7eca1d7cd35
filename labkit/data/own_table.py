"""Tables from a user's own file: strings as ids, and why their vocabulary may be public.

A vocabulary that is built from private data itself tells who and what is in them. So a column's vocabulary is either
declared in a file beside the data, or its strings become wide public hashes that `hashing.hashed` has to fold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labkit.data.checks import MINIMUM
from labkit.data.hashing import WIDE, wide_hash
from labkit.data.table import Table, make_table
from labkit.errors import BadInput

OWN = "your own file: you know what may be done with it"
Declared = dict[str, "int | list[str]"]


def declaration(path: Path) -> Path:
    """Where the vocabulary of a file or folder is declared: `FILE.vocabulary.json` beside it."""
    return path.with_name(f"{path.name}.vocabulary.json")


def declared(path: Path, columns: Sequence[str], source: str) -> Declared | None:
    """The declared vocabulary of each column: a size, for ids 0 to size - 1, or the list of its values.

    Args:
        path: the data.
        columns: the features; each must be declared, and nothing else.
        source: the `data` parameter as it was given, for errors.

    Returns:
        None where there is no such file.

    Raises:
        BadInput: the file cannot be used.
    """
    file = declaration(path)
    if not file.is_file():
        return None

    def require(condition: bool, allowed: str) -> None:
        if not condition:
            raise BadInput("data", source, f"{allowed} in {file.name}")

    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        read = None
    require(isinstance(read, dict), "an object {column: size, or list of values}")
    for column in columns:
        require(column in read, f"the vocabulary of column {column}")
    for column, values in read.items():
        require(column in columns, f"columns of the data alone, not {column},")
        if isinstance(values, list):
            read[column] = listed = [str(value) for value in values]
            require(0 < len(set(listed)) == len(listed), f"one or more values of column {column}, each once,")
        else:
            whole = isinstance(values, int) and not isinstance(values, bool)
            require(whole and 1 <= values <= WIDE, f"a size of 1 or more, or a list of values, of column {column}")
    return read


def own_table(
    name: str,
    source: str,
    path: Path,
    features: dict[str, Sequence[str]],
    labels: Sequence[bool],
    lines: Sequence[int],
    *,
    key: bytes,
    months: Sequence[int] | None = None,
    persons: Sequence[str] | None = None,
    licence: str = OWN,
) -> Table:
    """A Table from strings.

    Args:
        name: a short name for titles; no path.
        source: the `data` parameter as it was given, for errors.
        path: the file or folder, beside which a vocabulary may be declared.
        features: the strings of each column, all of one length.
        labels: yes or no, of each example.
        lines: the line of each example, for errors.
        key: the store's key.
        months: the period of each example.
        persons: whose each example is.

    Raises:
        BadInput: fewer than 100 examples, one class only, or a value outside the declared vocabulary.
        ValueError: no key was given.
    """
    if len(labels) < MINIMUM:
        raise BadInput("data", source, f"at least {MINIMUM} rows; there are {len(labels)}")
    if len(set(labels)) < 2:
        raise BadInput("data", source, f"labels of both kinds; every label is {int(labels[0])}")
    wide = make_table(
        name,
        tuple(features),
        _ids(features, {column: _hashes(column, values) for column, values in features.items()}),
        (WIDE,) * len(features),
        np.asarray(labels),
        licence=licence,
        public=False,
        vocabulary="",
        key=key,
        months=None if months is None else np.asarray(months),
        persons=None if persons is None else np.unique(np.asarray(persons), return_inverse=True)[1],
    )
    vocabulary = declared(path, tuple(features), source)
    if vocabulary is None:
        return wide
    known, sizes = {}, []
    for column, values in features.items():
        known[column], size = _places(vocabulary[column], values)
        sizes.append(size)
        if unknown := set(values) - set(known[column]):
            line, value = next((line, value) for line, value in zip(lines, values, strict=True) if value in unknown)
            allowed = f"values of column {column} that {declaration(path).name} declares; line {line} has {value!r}"
            raise BadInput("data", source, allowed)
    # The fingerprint stays that of the strings: another vocabulary makes no other people of them.
    said = f"given in {declaration(path).name}"
    return replace(wide, ids=_ids(features, known), sizes=tuple(sizes), vocabulary=said)


def _hashes(column: str, values: Sequence[str]) -> dict[str, int]:
    return {value: wide_hash(column, value) for value in set(values)}


def _ids(features: dict[str, Sequence[str]], known: dict[str, dict[str, int]]) -> np.ndarray:
    columns = [[known[column][value] for value in values] for column, values in features.items()]
    return np.asarray(columns, np.int64).T


def _places(vocabulary: int | list[str], values: Sequence[str]) -> tuple[dict[str, int], int]:
    """The id of each value that the vocabulary has, and its size."""
    if isinstance(vocabulary, list):
        return {value: place for place, value in enumerate(vocabulary)}, len(vocabulary)
    numbers = {value: int(value) for value in set(values) if value.isascii() and value.isdecimal()}
    return {value: number for value, number in numbers.items() if number < vocabulary}, vocabulary
