"""A disk that is full: for a file of tensors, or for the database."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from aftermath import Book, Told
from fake_experiment import FakeSpec
from killable import work

from labkit.errors import StoreError
from labkit.runs import RunKey, Store, files
from labkit.runs.database import Database
from labkit.runs.events import Chunk, Point

MOST = 12  # a strike comes within so many writes


@contextlib.contextmanager
def no_room_for_a_file(place: int) -> Iterator[None]:
    """The flush of this number finds no room."""
    left = iter(range(place - 1, -1, -1))

    def fsync(file: int) -> None:
        if next(left, -1) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)

    with mock.patch.object(files, "os", SimpleNamespace(**(vars(os) | {"fsync": fsync}))):
        yield


@contextlib.contextmanager
def no_room_for_a_row(place: int) -> Iterator[None]:
    """No transaction from this number on can be ended: SQLite appends each one to its log."""
    original, left = Database.write, iter(range(place - 1))

    @contextlib.contextmanager
    def write(self: Database, **options: bool) -> Iterator[sqlite3.Connection]:
        with original(self, **options) as connection:
            yield connection
            if next(left, None) is None:
                full = sqlite3.OperationalError("database or disk is full")
                full.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise full

    with mock.patch.object(Database, "write", write):
        yield


def _full(folder: Path, moments: random.Random, no_room) -> Told:
    book, said = Book(folder, steps=12), ""
    while True:
        try:
            with no_room(moments.randint(1, MOST)):
                work(book.path, 0.0, **book.parameters)
        except StoreError as error:
            said = str(error).replace(str(book.path), "").rpartition("/")[2]
            book.struck()
        else:
            return book.told(said)


def for_files(folder: Path, moments: random.Random) -> Told:
    """One file after another cannot be written; the same process goes on."""
    return _full(folder, moments, no_room_for_a_file)


def for_rows(folder: Path, moments: random.Random) -> Told:
    """No row can be written for a while, not even that the run has failed; then the same process goes on."""
    return _full(folder, moments, no_room_for_a_row)


FAULTS = {"disk full, files": for_files, "disk full, database": for_rows}


def test_a_disk_without_room_for_files(tmp_path):
    told = for_files(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times >= 5
    assert told.said.endswith("No space left on device")


def test_a_disk_without_room_for_rows(tmp_path):
    told = for_rows(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times >= 5
    assert told.said == "labkit.sqlite: the disk is full; run again when there is room: what is stored is safe"


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path) as opened:
        yield opened


KEY, SPEC = RunKey("99", "a" * 16, 0, "cpu"), FakeSpec.of(sparsity=0.5)


def test_sqlite_itself_says_that_it_is_full(store):
    with store.claim(KEY, SPEC):
        connection = store._database._connection()
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"labkit\.sqlite: the disk is full; .* safe"):
            store.write(KEY, *(Point("curve", {"step": step}) for step in range(1000)))
        assert store.points(KEY, "curve") == []  # all or none
        assert not connection.in_transaction


def test_a_file_that_cannot_be_deleted_is_one_line(store, monkeypatch):
    with store.claim(KEY, SPEC):
        store.write(KEY, Chunk("first", {"w": torch.ones(2)}))
        (file,) = store.folder(KEY).iterdir()

        def refused(*unused, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(Path, "unlink", refused)
        with pytest.raises(StoreError, match="Read-only file system"):
            store.write(KEY, Chunk("first", {"w": torch.zeros(2)}))
        monkeypatch.undo()
        assert file.exists()
    assert store.integrity() == []


def test_a_key_that_finds_no_room_leaves_nothing(store, monkeypatch):
    def full(*unused):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="No space left"):
        _ = store.key
    assert not list(store.path.glob("key*"))
