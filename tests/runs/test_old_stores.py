"""A store that the labkit of the first issue's landing wrote (make_old_store.py): today's opens a copy, loses nothing
of it, and shows and exports it.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from then import FAILED, HALF, IMPOSSIBLE, KILLED, OLD, QUARTER, STOPPED, TOUR, finished, rows_of

from labkit.cli import main
from labkit.errors import BadInput
from labkit.runs import Store, schema
from labkit.runs.reader import key_of
from labkit.runs.store import FILE
from labkit.runs.writing import POINT_COLUMNS

# Of each run and seed, the first arm's accuracy, as `labkit show` of then printed it.
SAID = {(HALF, 0): 0.2082, (HALF, 1): 0.1636, (TOUR, 0): 0.9442}


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(OLD, tmp_path / "store"))


@pytest.fixture
def said(old, capfd):
    """What a command says of the copy."""

    def run(*arguments: str) -> str:
        assert main([*arguments, "--store", str(old)]) == 0
        return capfd.readouterr().out

    return run


def shape(folder: Path) -> dict[str, list]:
    """Every table's columns, keys and indexes, in whatever words they were made."""
    tables = [name for (name,) in rows_of(folder, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    asked = ("table_info", "foreign_key_list", "index_list")
    return {name: [rows_of(folder, f"PRAGMA {what} ({name})") for what in asked] for name in tables}


def test_the_fixture_is_what_it_is_said_to_be():
    assert rows_of(OLD, "SELECT version FROM schema") == [(1,)]
    commits = {json.loads(record)["commit"] for (record,) in rows_of(OLD, "SELECT record FROM replicate")}
    assert commits == {"2e1316cc92fe9201ddbd74e14c8b1919acbdd483"}
    assert sorted(path.name for path in OLD.iterdir()) == ["files", "key", FILE]  # no log: it was closed
    assert sum(path.stat().st_size for path in OLD.rglob("*") if path.is_file()) < 150_000
    assert len(finished()) == 20


def test_opened_it_has_the_tables_of_a_new_one(old, tmp_path):
    for folder in (old, tmp_path / "new"):
        Store(folder).close()
    assert rows_of(old, "SELECT version FROM schema") == [(schema.VERSION,)]
    assert shape(old) == shape(tmp_path / "new")


def test_a_schema_of_one_more_step_takes_everything_along(old, monkeypatch):
    step = "ALTER TABLE result ADD COLUMN unit TEXT NOT NULL DEFAULT ''"
    with monkeypatch.context() as later:
        later.setattr(schema, "STEPS", (*schema.STEPS, lambda connection: connection.execute(step)))
        later.setattr(schema, "VERSION", schema.VERSION + 1)
        with Store(old) as store:
            assert (store.results(), store.integrity()) == (finished(), [])
    assert rows_of(old, "SELECT DISTINCT unit FROM result") == [("",)]
    before = (old / FILE).read_bytes()
    with pytest.raises(BadInput, match="this one has version 2: update labkit"):  # and for the labkit of now it is new
        Store(old)
    assert (old / FILE).read_bytes() == before


def test_nothing_is_lost(old):
    with Store(old) as store:
        assert store.integrity() == []
        assert store.results() == finished()
        for (run, seed), accuracy in SAID.items():
            first = next(row for row in store.results(name=run) if row["seed"] == seed)
            assert first["test_accuracy"] == pytest.approx(accuracy, abs=5e-5)
        for row in store.replicates():
            key = key_of(row)
            arrays = {name: store.arrays(key, name) for name in store.artifacts(key)}
            kept = rows_of(
                OLD,
                "SELECT key, path FROM file JOIN replicate ON id = replicate WHERE kind = 'artifact' AND name = ?"
                " AND seed = ?",
                key.name,
                key.seed,
            )
            assert len(kept) == len(arrays)
            for name, path in kept:
                raw = load_file(OLD / "files" / key.name / f"{key.seed}-cpu" / path)
                assert {n: (a.dtype, a.tobytes()) for n, a in arrays[name].items()} == {
                    n: (a.dtype, a.tobytes()) for n, a in raw.items()
                }
        points = rows_of(OLD, "SELECT data FROM point WHERE series = 'curve' ORDER BY id")
        told = store.points_since(0, series="curve")[1]
        assert [{field: row[field] for field in row if field not in POINT_COLUMNS} for row in told] == [
            json.loads(data) for (data,) in points
        ]


def test_the_commands_show_it(said):
    lines = {line.split()[0]: line for line in said("runs").splitlines()}
    for name, words in {HALF: "2 finished", QUARTER: "2 finished", TOUR: "1 finished", IMPOSSIBLE: "2 impossible",
                        FAILED: "1 failed", STOPPED: "1 stopped", KILLED: "1 stopped"}.items():  # fmt: skip
        assert words in lines[name]
    assert "sparsity=0.75" in lines[QUARTER]
    assert "RuntimeError: the data went away" in said("show", FAILED)
    assert "leaves hidden layer 1 none of its 4 nodes" in said("show", IMPOSSIBLE)
    shown = json.loads(said("show", HALF, "--json"))
    assert shown["results"] == [row for row in finished() if row["name"] == HALF]
    assert "landscape-found-after" in shown["artifacts"]
    store = next(line for line in said("doctor").splitlines() if line.startswith("store "))
    assert store.endswith(", 10 replicates")


def test_it_leaves_as_json_csv_and_parquet(said, tmp_path):
    from pyarrow import parquet

    wanted = [row for row in finished() if row["name"] in (HALF, TOUR)]
    told = [(row["seed"], result) for row in json.loads(said("export", HALF, TOUR)) for result in row["results"]]
    assert told == [
        (row["seed"], {f: v for f, v in row.items() if f not in ("name", "seed", "device_kind")}) for row in wanted
    ]
    said("export", HALF, TOUR, "--parquet", "-o", str(tmp_path / "runs.parquet"))
    texts = list(csv.DictReader(io.StringIO(said("export", HALF, TOUR, "--csv"))))
    typed = parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert len(wanted) == len(texts) == len(typed) == 12
    for row, text, cells in zip(wanted, texts, typed, strict=True):
        values = {"run" if field == "name" else field: value for field, value in row.items()}
        assert {field: text[field] for field in values} == {field: str(value) for field, value in values.items()}
        assert {field: cells[field] for field in values} == values
        assert (cells["sparsity"], cells["data"]) == (0.5, "digits")


def test_parameters_that_were_renamed_or_removed_are_still_shown(old, said, tmp_path):
    connection = sqlite3.connect(old / FILE)
    old_words = "json_set(json_remove(spec, '$.width'), '$.breadth', 4, '$.shape', json('[\"a\",\"b\"]'))"
    connection.execute(f"UPDATE replicate SET spec = {old_words} WHERE name = ?", (HALF,))
    connection.execute("UPDATE replicate SET experiment = '77' WHERE name = ?", (QUARTER,))
    connection.commit()
    connection.close()
    listed = said("runs")
    assert "breadth=4 shape=a,b" in listed
    assert " 77 " in listed
    shown = said("show", HALF)
    assert "read by a notebook  no: notebook 01 has other parameters now (breadth = 4" in shown
    assert "no: this labkit has no notebook 77" in said("show", QUARTER)
    rows = list(csv.DictReader(io.StringIO(said("export", HALF, QUARTER, "--csv"))))
    assert [(row["breadth"], row["width"], row["shape"]) for row in rows] == [("4", "", "a,b")] * 8 + [
        ("", "4", "")
    ] * 8
    assert len(json.loads(said("export", HALF, QUARTER))) == 4
    said("export", HALF, QUARTER, "--parquet", "-o", str(tmp_path / "x.parquet"))
    assert (tmp_path / "x.parquet").read_bytes()[:4] == b"PAR1"
