from __future__ import annotations

import csv
import datetime
import io
import lzma
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from labkit.data import flights, packed
from labkit.data.hashing import hashed
from labkit.data.table import Table, check_ids, rows_of
from labkit.data.table_split import split_table
from labkit.data.tables import load_table
from labkit.errors import BadInput


@pytest.fixture(scope="module")
def table() -> Table:
    return load_table("flights")


def test_published_counts(table):
    assert len(table) == 327_346
    assert dict(zip(table.columns, table.sizes, strict=True)) == {
        "carrier": 16,
        "carrier+flight": 5706,
        "tailnum": 4037,
        "origin+dest": 223,
        "hour": 19,
        "weekday": 7,
        "month": 12,
        "day": 365,
        "origin+day+hour": 19_432,
    }
    assert rows_of(table) == 29_817
    assert round(table.labels.mean(), 3) == 0.237
    assert (table.public, table.synthetic, table.persons) == (True, "", None)
    assert table.vocabulary.startswith("the vocabulary ships with the package and is declared public")
    check_ids(table)
    for place, size in enumerate(table.sizes):
        assert len(np.unique(table.ids[:, place])) == size  # every row of a vocabulary is somebody's


def test_against_a_second_reading_row_by_row(table):
    """The same features, made of strings."""
    read, values = packed.unpack((flights.FILES / flights.FILE).read_bytes())
    rows = np.random.default_rng(0).choice(len(table), 2000, replace=False)
    seen: dict[str, dict[object, int]] = {column: {} for column in table.columns}
    for row in rows.tolist():
        carrier, flight, tail, origin, dest = (
            values[name][read[name][row]] for name in ("carrier", "flight", "tailnum", "origin", "dest")
        )
        date, hour = datetime.date(2013, int(read["month"][row]), int(read["day"][row])), int(read["hour"][row])
        expected = {
            "carrier": carrier,
            "carrier+flight": (carrier, flight),
            "tailnum": tail,
            "origin+dest": (origin, dest),
            "hour": hour,
            "weekday": date.weekday(),
            "month": date.month,
            "day": date,
            "origin+day+hour": (origin, date, hour),
        }
        assert table.months[row] == date.month
        assert table.ids[row, table.columns.index("weekday")] == date.weekday()
        for place, column in enumerate(table.columns):
            assert seen[column].setdefault(expected[column], int(table.ids[row, place])) == table.ids[row, place]
    for known in seen.values():
        assert len(set(known.values())) == len(known)  # one id, one value


def test_known_busy_places(table):
    """Counts of the published file: United flies most from New York, and LaGuardia to Atlanta is the busiest route."""
    read, values = packed.unpack((flights.FILES / flights.FILE).read_bytes())
    carriers = Counter(read["carrier"].tolist())
    assert values["carrier"][carriers.most_common(1)[0][0]] == "UA"
    routes = Counter(zip(read["origin"].tolist(), read["dest"].tolist(), strict=True))
    origin, dest = routes.most_common(1)[0][0]
    assert (values["origin"][origin], values["dest"][dest]) == ("JFK", "LAX")
    assert sorted(values["origin"]) == ["EWR", "JFK", "LGA"]


def test_sixty_thousand_share_the_vocabulary_and_the_fingerprint(table):
    small = load_table("flights-60k")
    assert len(small) == 60_000
    assert (small.sizes, small.fingerprint, small.name) == (table.sizes, table.fingerprint, "flights-60k")
    check_ids(small)
    np.testing.assert_array_equal(small.ids, load_table("flights-60k").ids)
    assert abs(small.labels.mean() - table.labels.mean()) < 0.006  # over three of its standard errors
    assert set(small.months.tolist()) == set(range(1, 13))


def test_split_and_hash_of_the_real_file(table):
    split = split_table(table, 0)
    assert [len(part) for part in (split.train, split.selection, split.test)] == [229_142, 32_735, 65_469]
    assert split.train.ids.max() < 29_817
    assert split.train.ids[:, -1].min() >= 29_817 - 19_432
    stream = split_table(table, 0, stream=True)
    assert stream.train.months.max() == 9
    assert stream.test.months.min() == 10
    check_ids(hashed(table, 10_000))


def test_it_loads_quickly_and_is_small():
    (flights.FILES / flights.FILE).read_bytes()
    started = time.process_time()
    load_table("flights")
    assert time.process_time() - started < 1.5
    assert (flights.FILES / flights.FILE).stat().st_size <= 1_750_000


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(str(flights.FILES / flights.FILE), tmp_path / flights.FILE)
    return tmp_path


def test_an_altered_file_is_refused_though_it_unpacks(copy):
    raw = bytearray(lzma.decompress((copy / flights.FILE).read_bytes()))
    raw[-1] ^= 1
    (copy / flights.FILE).write_bytes(lzma.compress(bytes(raw)))
    with pytest.raises(BadInput, match=r"flights13\.xz.*altered: install labkit again") as caught:
        flights.load(copy)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(copy):
    (copy / flights.FILE).unlink()
    with pytest.raises(BadInput, match=r"flights13\.xz.*missing"):
        flights.load(copy)


def test_the_licence_is_beside_the_file():
    assert "CC0 1.0" in (flights.FILES / "LICENSE-flights13.txt").read_text()


def test_columns_survive_packing():
    columns = {"small": np.array([0, 255, 3]), "large": np.array([0, 65_535, 256])}
    read, values = packed.unpack(packed.pack(columns, {"small": ["a"]}))
    assert values == {"small": ["a"]}
    for name, column in columns.items():
        np.testing.assert_array_equal(read[name], column)
    for wrong in (-1, 65_536):
        with pytest.raises(ValueError, match="column small"):
            packed.pack({"small": np.array([wrong])}, {})


def test_the_csv_module_reads_what_was_packed():
    """The dictionaries hold no stray quotes or blanks, which a second reader would take for part of a value."""
    _, values = packed.unpack((flights.FILES / flights.FILE).read_bytes())
    for listed in values.values():
        assert [row[0] for row in csv.reader(io.StringIO("\n".join(listed)))] == listed
        assert all(value == value.strip() for value in listed)
