"""Ratings that persons gave, from a user's own files: the unit of privacy is a person, and a rating is not one.

InstEval: students rate lecturers of ETH Zurich (R package lme4, `write.csv(InstEval)`). MovieLens: people rate films
(GroupLens), in the layout of ml-100k (u.data, u.user, u.item) or as ratings.csv. Neither comes with labkit.
"""

from __future__ import annotations

from pathlib import Path

from labkit.data.csv_table import columns_of, read_csv, reading
from labkit.data.own_table import own_table
from labkit.data.table import Table
from labkit.errors import BadInput

GOOD = 4.0  # of 5: a rating from here on is a yes
INSTEVAL = ("s", "d", "studage", "lectage", "service", "dept")
UNKNOWN = "unknown"
YEAR = 2  # the field of u.item with the day of release, such as 01-Jan-1995


def insteval(path: Path, source: str, key: bytes = b"") -> Table:
    """InstEval: six features, student s a person; label 1 where y is 4 or 5 (44.5 % of 73,421).

    Args:
        path: a CSV file with the columns s, d, studage, lectage, service, dept and y.
        source: the `data` parameter as it was given.
        key: the store's key, for the fingerprint.

    Raises:
        BadInput: what cannot be used, with its line.
        ValueError: no key was given.
    """
    columns, rows, lines = read_csv(path, source, (*INSTEVAL, "y"))
    strings = columns_of(columns, rows)
    labels = _good(strings.pop("y"), lines, "y", source)
    licence = "GPL-2 or later (lme4), from your own file"
    return own_table("InstEval", source, path, strings, labels, lines, key=key, persons=strings["s"], licence=licence)


def movielens(folder: Path, source: str, key: bytes = b"") -> Table:
    """MovieLens: user and film, with what u.user and u.item say of them; label 1 where the rating is 4 or 5.

    Args:
        folder: with u.data and perhaps u.user and u.item, or with ratings.csv (userId, movieId, rating).
        source: the `data` parameter as it was given.
        key: the store's key, for the fingerprint.

    Raises:
        BadInput: what cannot be used, with its line.
        ValueError: no key was given.
    """
    if (folder / "u.data").is_file():
        rows = _lines(folder / "u.data", source, "\t", 4)
        lines = [line for line, _ in rows]
        users, items, ratings = ([row[place] for _, row in rows] for place in range(3))
        features = {"user": users, "item": items}
        if (folder / "u.user").is_file():
            known = {row[0]: row for _, row in _lines(folder / "u.user", source, "|", 5)}
            people = [_known(known, user, "u.user", line, source) for user, line in zip(users, lines, strict=True)]
            features |= {"age": [f"{row[1][:-1] or 0}0s" for row in people]}
            features |= {"gender": [row[2] for row in people], "occupation": [row[3] for row in people]}
        if (folder / "u.item").is_file():
            known = {row[0]: row for _, row in _lines(folder / "u.item", source, "|", 24)}
            films = [_known(known, item, "u.item", line, source) for item, line in zip(items, lines, strict=True)]
            features |= {"year": [row[YEAR][-4:] or UNKNOWN for row in films]}
        labels = _good(ratings, lines, "rating", source)
    elif (folder / "ratings.csv").is_file():
        columns, rows, lines = read_csv(folder / "ratings.csv", source, ("userId", "movieId", "rating"))
        strings = columns_of(columns, rows)
        features = {"user": strings["userId"], "item": strings["movieId"]}
        labels = _good(strings["rating"], lines, "rating", source)
    else:
        raise BadInput("data", source, "movielens:FOLDER, a folder that holds u.data or ratings.csv")
    licence = "terms of GroupLens: no redistribution, no commercial use"
    return own_table(
        "MovieLens", source, folder, features, labels, lines, key=key, persons=features["user"], licence=licence
    )


def _good(ratings: list[str], lines: list[int], column: str, source: str) -> list[bool]:
    found = []
    for rating, line in zip(ratings, lines, strict=True):
        try:
            value = float(rating)
        except ValueError:
            value = 0.0
        if not 0 < value <= 5:
            raise BadInput("data", source, f"ratings above 0 and at most 5 in {column}; line {line} has {rating!r}")
        found.append(value >= GOOD)
    return found


def _lines(path: Path, source: str, separator: str, fields: int) -> list[tuple[int, list[str]]]:
    """The fields of each line, with its number. MovieLens writes Latin-1."""
    found = []
    with reading(path, source):
        text = path.read_text(encoding="latin-1")
    for number, line in enumerate(text.splitlines(), start=1):
        row = line.split(separator)
        if len(row) != fields:
            allowed = f"{fields} fields in every line of {path.name}; line {number} has {len(row)}"
            raise BadInput("data", source, allowed)
        found.append((number, row))
    return found


def _known(rows: dict[str, list[str]], wanted: str, file: str, line: int, source: str) -> list[str]:
    if wanted not in rows:
        raise BadInput("data", source, f"a line of {file} for every number in u.data; {wanted} of line {line} has none")
    return rows[wanted]
