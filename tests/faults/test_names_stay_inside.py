"""No Spec, key or row of a store names a file outside of it."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path, PureWindowsPath

import pytest
import torch
from fake_experiment import FakeSpec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from labkit.cli.run import default_output
from labkit.errors import StoreError
from labkit.runs import RunKey, Store, files, run_name
from labkit.runs.events import Artifact, Chunk
from labkit.runs.store import FILE

NASTY = ["", ".", "..", "../../x", "/etc/passwd", "a\0b", "CON", "nul.txt", "C:\\x", "a\\b", "~", "-rf", "a" * 300]
SPEC = FakeSpec.of(sparsity=0.5)
KEY = RunKey("99", "a" * 16, 0, "cpu")
TENSOR = torch.ones(2)
FIXTURE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}


def nasty(test):
    """The test with each of the names above, and with any text."""
    for name in NASTY:
        test = example(name)(test)
    return FIXTURE(given(st.text(max_size=80))(test))


def ordinary(name: str) -> bool:
    """Whether it is the name of a file, and nothing more, on every system."""
    return (
        PureWindowsPath(name).name == name
        and Path(name).name == name
        and name.isascii()
        and name.isprintable()
        and name.split(".")[0].lower() not in DEVICES
        and len(name) < 120
    )


@nasty
@pytest.mark.parametrize("kind", ["chunk", "checkpoint", "artifact"])
def test_a_key_makes_the_name_of_a_file_and_nothing_more(tmp_path, kind, key):
    name, _ = files.write_tensors(tmp_path, kind, key, {})
    assert ordinary(name)
    assert files.plain_name(name) == name


@nasty
def test_a_spec_names_a_run_and_an_output_and_nothing_more(key):
    spec = FakeSpec.of(data=key, store=key)
    name = run_name("99", 1, spec.points()[0], "f" * 64)
    assert ordinary(name)
    assert files.plain_name(name) == name
    experiment = dataclasses.make_dataclass("Named", [("notebook", str)])("99_fake")
    output = default_output(experiment, spec)
    assert output.parent == Path("outputs")
    assert ordinary(output.name)


@nasty
def test_a_plain_name_stays_in_its_folder(key):
    with contextlib.suppress(StoreError):
        name = files.plain_name(key)
        assert (Path("/store/files") / name).parent == Path("/store/files")
        assert Path(name).name == name not in (".", "..")
        assert "\\" not in name


@pytest.mark.parametrize("name", NASTY[:6])
def test_what_is_no_plain_name_is_refused(name):
    with pytest.raises(StoreError, match="is not believed"):
        files.plain_name(name)


@pytest.fixture
def made_by_hand(tmp_path):
    """A store that somebody hands out, and a file beside it that is none of its business."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "0-cpu").mkdir()
    (tmp_path / "private" / "0-cpu" / "diary").write_text("mine")
    with Store(tmp_path / "store") as store:
        with store.claim(KEY, SPEC):
            store.write(KEY, Chunk("first", {"w": TENSOR}), Artifact("kept", {"w": TENSOR}))

        def change(statement: str, *values: str) -> None:
            with sqlite3.connect(store.path / FILE) as connection:
                connection.execute(statement, values)
            connection.close()

        yield store, change, tmp_path / "private" / "0-cpu" / "diary"


@pytest.mark.parametrize("column", ["name", "device_kind"])
def test_a_run_named_by_a_way_out_is_not_followed(made_by_hand, tmp_path, column):
    store, change, diary = made_by_hand
    way_out = {"name": "../../private", "device_kind": "/../../../../private/0-cpu"}[column]
    change(f"UPDATE replicate SET {column} = ?", way_out)
    (row,) = store.replicates()
    key = RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"])
    assert "is not believed" in store.integrity()[0]
    for act in (store.chunks, store.artifacts, store.remove):
        with pytest.raises(StoreError, match="is not believed"):
            act(key)
    with pytest.raises(StoreError, match="is not believed"):
        store.claim(key, SPEC)
    assert diary.read_text() == "mine"


def test_a_file_named_by_a_way_out_is_neither_read_nor_exported_nor_deleted(made_by_hand, tmp_path):
    store, change, diary = made_by_hand
    change("UPDATE file SET path = ?", "../../../../private/0-cpu/diary")
    assert all("is not believed" in wrong for wrong in store.integrity())
    for read in (lambda: store.arrays(KEY, "kept"), lambda: store.export([KEY.name], tmp_path / "out")):
        with pytest.raises(StoreError, match="is not believed"):
            read()
    with store.claim(KEY, SPEC), pytest.raises(StoreError, match="is not believed"):
        store.write(KEY, Chunk("first", {"w": TENSOR}))
    assert diary.read_text() == "mine"
    assert not (tmp_path / "out").exists()
