"""Runs as CSV and Parquet: the same cells, with types, whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
import sys

import pyarrow
import pytest
from fake_experiment import FakeSpec
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import labkit
from labkit.cli import tables
from labkit.errors import BadInput
from labkit.runs import RunKey
from labkit.runs.events import Result

BIG = 2**70


class Kept:
    """A store of given runs, a replicate each: for each run its Spec's values and those of its results."""

    def __init__(self, *runs: tuple[dict, list[dict]]) -> None:
        self.runs = {f"run {place}": json.loads(json.dumps(run)) for place, run in enumerate(runs)}

    def replicates(self, name):
        key = {"experiment": "99", "name": name, "seed": 3, "device_kind": "cpu"}
        return [key | {"spec": self.runs[name][0] | {"seed": 3, "store": "/somewhere"}}]

    def results(self, name, experiment, device_kind):
        head = {"name": name, "seed": 3, "device_kind": device_kind}
        return [head | {"arm": f"arm {n}"} | row for n, row in enumerate(self.runs[name][1])]

    def table(self, *hidden: str) -> pyarrow.Table:
        return parquet.read_table(io.BytesIO(tables.as_parquet(self, list(self.runs), hidden)))

    def texts(self, *hidden: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(tables.as_csv(self, list(self.runs), hidden), newline="")))


def test_by_hand():
    kept = Kept(
        ({"sparsity": [0.5], "shape": [2, 3], "size": 7, "name_": "é"}, [{"score": 0.25, "ok": True}]),
        ({"sparsity": [0.9], "more": {"a": 1}}, [{"score": 1, "secret": 2.0}, {"score": 2, "ok": False}]),
    )
    table = kept.table("secret")
    assert table.to_pylist() == [
        {"run": "run 0", "sparsity": 0.5, "shape": "[2, 3]", "size": 7, "name_": "é", "seed": 3, "device_kind": "cpu",
         "arm": "arm 0", "score": 0.25, "ok": True, "more": None},
        {"run": "run 1", "sparsity": 0.9, "shape": None, "size": None, "name_": None, "seed": 3, "device_kind": "cpu",
         "arm": "arm 0", "score": 1.0, "ok": None, "more": '{"a": 1}'},
        {"run": "run 1", "sparsity": 0.9, "shape": None, "size": None, "name_": None, "seed": 3, "device_kind": "cpu",
         "arm": "arm 1", "score": 2.0, "ok": False, "more": '{"a": 1}'},
    ]  # fmt: skip
    types = {field.name: str(field.type) for field in table.schema}
    assert types == dict.fromkeys(types, "string") | {
        "sparsity": "double", "size": "int64", "seed": "int64", "score": "double", "ok": "bool"
    }  # fmt: skip
    assert table.schema.metadata == {b"labkit": labkit.__version__.encode(), b"labkit.left_out": b"secret"}


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, None, -(2**63)], "int64", [1, None, -(2**63)]),
        ([1, BIG], "string", ["1", str(BIG)]),  # exact, where no column of numbers is
        ([1, 0.5], "double", [1.0, 0.5]),
        ([2**53, 0.5], "double", [2.0**53, 0.5]),
        ([2**53 + 1, 0.5], "string", [str(2**53 + 1), "0.5"]),
        ([10**400, 0.5], "string", [str(10**400), "0.5"]),
        ([2.0, "clipped"], "string", ["2.0", "clipped"]),  # a number in one run, a word in another
        ([3, "3"], "string", ["3", "3"]),
        ([True, 1], "string", ["True", "1"]),
        ([True, None], "bool", [True, None]),
        ([None, None], "null", [None, None]),
        (["\ud800", ""], "string", ["\\ud800", ""]),
    ],
)
def test_a_column_takes_the_type_that_loses_nothing(values, kind, cells):
    table = Kept(*(({}, [{"value": value}]) for value in values)).table()
    assert str(table.schema.field("value").type) == kind
    assert table.column("value").to_pylist() == cells


NUMBERS = st.integers() | st.integers(-BIG, BIG) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(), max_size=8)
ROWS = st.dictionaries(st.sampled_from("abc"), VALUES)
RUNS = st.tuples(st.dictionaries(st.sampled_from("xyz"), VALUES.filter(lambda v: v is not None).map(lambda v: [v])),
                 st.lists(ROWS, max_size=3))  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=4))
def test_each_cell_is_the_csvs(runs):
    kept = Kept(*runs)
    table, texts = kept.table(), kept.texts()
    assert table.num_rows == len(texts) == sum(len(rows) for _, rows in runs)
    for row, text in zip(table.to_pylist(), texts, strict=True):
        assert list(row) == list(text)
        for field, value in row.items():
            if isinstance(value, float):
                assert float(text[field]) == value
            else:
                assert text[field] == ("" if value is None else str(value))


@pytest.fixture
def held(lab):
    """A run of two results in a real store."""
    key, spec = RunKey("99", "a" * 16, 0, "cpu"), FakeSpec.of(sparsity=0.5)
    with lab.store() as store, store.claim(key, spec):
        store.write(key, Result("fancy", {"sum": 1.5, "steps_done": 3}), Result("plain", {"sum": 2.0}))
        store.finish(key)
    return lab


def test_the_command_writes_what_the_csv_says(held):
    assert held.run("export", "a", "--parquet", "-o", "runs.parquet")[:2] == (0, "")
    rows = parquet.read_table(held.path / "runs.parquet").to_pylist()
    texts = list(csv.DictReader(io.StringIO(held.run("export", "a", "--csv")[1])))
    assert [(row["arm"], row["sum"], row["steps_done"], row["sparsity"]) for row in rows] == [
        ("fancy", 1.5, 3, 0.5),
        ("plain", 2.0, None, 0.5),
    ]
    assert [{f: "" if v is None else str(v) for f, v in row.items()} for row in rows] == texts


def test_a_run_without_results_is_a_table_without_rows(lab):
    with lab.store() as store, store.claim(RunKey("99", "a" * 16, 0, "cpu"), FakeSpec.of(sparsity=0.5)):
        pass
    assert lab.run("export", "a", "--parquet", "-o", "runs.parquet")[0] == 0
    assert parquet.read_table(lab.path / "runs.parquet").num_rows == 0


def test_it_is_nothing_for_a_terminal(held):
    code, out, err = held.run("export", "a", "--parquet")
    assert (code, out) == (2, "")
    assert err == "labkit: output = None is not usable; allowed: a file, -o FILE: Parquet is nothing for a terminal\n"


def test_without_pyarrow_it_says_what_to_install(held, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = held.run("export", "a", "--parquet", "-o", "runs.parquet")
    assert code == 2
    assert err.endswith("the extra [parquet] installed: pip install 'labkit[parquet]'\n")
    assert not (held.path / "runs.parquet").exists()


@pytest.mark.parametrize("form", ["--csv", "--parquet"])
def test_a_file_is_replaced_whole_or_not_at_all(held, monkeypatch, form):
    file = held.path / "out"
    file.write_text("old")
    file.chmod(0o600)
    with monkeypatch.context() as patched:

        def full(*unused):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(os, "fsync", full)
        code, _, err = held.run("export", "a", form, "-o", "out")
    assert code == 2
    assert "No space left on device" in err
    assert file.read_text() == "old"
    assert held.run("export", "a", form, "-o", "out")[0] == 0
    assert b"fancy" in file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in held.path.iterdir()) == ["notebooks", "out", "store"]


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path):
    (tmp_path / "link").symlink_to("file")
    tables.put(str(tmp_path / "link"), "é")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == "é".encode()
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        tables.put(str(tmp_path / "pipe"), b"through")
        assert os.read(reader, 20) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(BadInput, match=r"^output = .*a file that can be written"):
        tables.put(str(tmp_path), "a folder is none")
