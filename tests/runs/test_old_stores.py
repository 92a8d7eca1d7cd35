"""A store that the labkit of the first issue's landing wrote (make_old_store.py): today's opens a copy, loses nothing
of it, goes on where it stopped, and says what it no longer reads.

What it holds is read here by SQLite alone, from the file as it lies in git.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from labkit import experiments
from labkit.cli import main
from labkit.runs import RunKey, Store, Worker, open_view, schema
from labkit.runs.events import Chunk
from labkit.runs.past import outdated
from labkit.runs.reader import key_of
from labkit.runs.store import FILE
from labkit.runs.writing import POINT_COLUMNS

OLD = Path(__file__).parent / "old_store"
HALF, QUARTER, TOUR = "b4d1d805b6ce1732", "27d14b8759a8b9e1", "66daca4f3d0a6a84"
IMPOSSIBLE, FAILED, STOPPED, KILLED = "b0c181cc2389968d", "9054be6e652f0b3c", "89f932774144a72b", "d57e5ba71364b9ef"
SEARCH = experiments.get("01")
# Of each run and seed, the first arm's accuracy, as `labkit show` of then printed it.
SAID = {(HALF, 0): 0.2082, (HALF, 1): 0.1636, (TOUR, 0): 0.9442}


def rows_of(folder: Path, asked: str, *values: object) -> list[tuple]:
    """What a store's file holds; nothing beside it is made."""
    connection = sqlite3.connect(f"{(folder / FILE).as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return connection.execute(asked, values).fetchall()
    finally:
        connection.close()


def finished() -> list[dict]:
    """The results of finished replicates, from the rows themselves."""
    rows = rows_of(
        OLD,
        "SELECT name, seed, device_kind, arm, data FROM result JOIN replicate ON id = replicate"
        " WHERE status = 'finished' ORDER BY id, result.rowid",
    )
    return [{"name": n, "seed": s, "device_kind": d, "arm": a} | json.loads(data) for n, s, d, a, data in rows]


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


def test_the_notebook_of_then_and_now_reads_it(old):
    spec = SEARCH.spec.of(data="digits", device="cpu", sparsity="0.5,0.75,0.95", budget=4, width=4, steps=20,
                          evaluations=2, seeds=2, landscape_size=3, store=str(old))  # fmt: skip
    with Store(old) as store:
        view = open_view(spec, SEARCH, store)
        assert view.complete
        assert [row["test_accuracy"] for row in view.results()] == [
            row["test_accuracy"] for row in finished() if row["name"] != TOUR
        ]
        assert view.planned_seeds() == {2}
        assert "found" in str(SEARCH.charts["landscapes"](view).to_dict())
        assert SEARCH.claims(view)
        assert len(list(Worker(SEARCH, spec, store).run())) == 1  # data are loaded; nothing is left to do
        assert store.results() == finished()


def test_what_no_notebook_reads_any_more_is_said(old, said):
    tour = experiments.get("00")
    assert tour.version == 2  # of then: 1
    spec = tour.spec.of(data="digits", device="cpu", sparsity=0.5, budget=2, seeds=1, store=str(old))
    with Store(old) as store:
        view = open_view(spec, tour, store)
        assert view.results() == []
        assert [statuses for _, _, statuses in view.points] == [{0: "missing"}]
    why = "read by a notebook"
    shown = said("show", TOUR)
    assert f"{why}  no: notebook 00 computes other numbers now (version 2)" in shown
    assert "0.9442" in shown
    assert why not in said("show", HALF)
    assert why not in said("show", STOPPED)
    with Store(old) as store:
        (row, _) = store.replicates(name=HALF)
    later = dataclasses.replace(SEARCH, version=2)
    assert outdated(later, row) == "no: notebook 01 computes other numbers now (version 2)"


@pytest.mark.parametrize(("name", "sparsity"), [(STOPPED, 0.6), (KILLED, 0.4), (FAILED, 0.25)])
def test_what_was_begun_then_goes_on_now(old, tmp_path, name, sparsity):
    spec = SEARCH.spec.of(data="digits", device="cpu", sparsity=sparsity, budget=4, width=4, steps=20, evaluations=2,
                          seeds=1, landscape_size=0)  # fmt: skip
    key = RunKey("01", name, 0, "cpu")
    with Store(old) as store, Store(tmp_path / "new") as fresh:
        kept = set(store.chunks(key))
        assert kept == (set() if name == FAILED else {"dense", "scores-0-4"})
        assert set(store.checkpoints(key)) == (set() if name == FAILED else {"order-0-4"})
        events = [update.event for update in Worker(SEARCH, spec, store).run()]
        assert kept.isdisjoint(event.key for event in events if isinstance(event, Chunk))  # not done again
        list(Worker(SEARCH, spec, fresh).run())
        assert store.status(key) == "finished"
        mine, whole = store.results(name=name), fresh.results(name=name)
        assert [row["arm"] for row in mine] == [row["arm"] for row in whole] == ["found", "first", "random", "dense"]
        for one, other in zip(mine, whole, strict=True):
            # Another processor may have made the first half: it rounds otherwise.
            assert one["test_accuracy"] == pytest.approx(other["test_accuracy"], abs=0.02)
            assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-2)
        assert len(store.points(key, "curve")) == len(fresh.points(key, "curve"))
        assert store.results()[: len(finished())] == finished()
        assert store.integrity() == []


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
