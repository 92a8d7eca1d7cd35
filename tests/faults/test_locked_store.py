"""A store that another process has locked."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from unittest import mock

import pytest
from aftermath import Book, Told, at
from fake_experiment import FakeSpec
from killable import processes, work

from labkit.errors import BadInput, StoreError
from labkit.runs import RunKey, Store, database
from labkit.runs.lease import Leases
from labkit.runs.store import FILE

EVENTS = 60  # of a replicate: a point, a progress and a checkpoint of each step
SHORT, LONG, PATIENCE = 3, 5, 0.2


def hold(file: Path, asked: Connection) -> None:
    """Lock a database for so many seconds whenever asked; 0 ends it."""
    while seconds := asked.recv():
        connection = sqlite3.connect(file, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        asked.send("locked")
        if asked.poll(seconds):
            asked.recv()  # until told
        connection.execute("ROLLBACK")
        connection.close()
        asked.send("free")


class Holder:
    """Another process that locks a store."""

    def __init__(self, path: Path) -> None:
        context = processes()
        self._ask, asked = context.Pipe()
        self._process = context.Process(target=hold, args=(path / FILE, asked))
        self._process.start()

    def lock(self, seconds: float = 60.0) -> None:
        """Returns when it is locked."""
        self._ask.send(seconds)
        assert self._ask.recv() == "locked"

    def free(self) -> None:
        """Returns when it is free."""
        self._ask.send("free it")
        self.wait()

    def wait(self) -> None:
        """Returns when the seconds are over."""
        assert self._ask.recv() == "free"

    def end(self) -> None:
        """No more."""
        self._ask.send(0)
        self._process.join()


def for_a_moment(folder: Path, moments: random.Random) -> Told:
    """The store is locked for 0.3 s in the middle of a run, which waits."""
    book = Book(folder, seeds=1 + SHORT, steps=10)
    holder = Holder(book.path)
    for seeds in range(2, 2 + SHORT):
        place, began = moments.randrange(EVENTS), time.monotonic()
        work(book.path, 0.0, experiment=at(place, lambda: holder.lock(0.3)), **book.parameters | {"seeds": seeds})
        holder.wait()
        assert time.monotonic() - began > 0.25
        book.struck()
    holder.end()
    return book.told("nothing; it waited")


def for_long(folder: Path, moments: random.Random) -> Told:
    """The store is locked for longer than a run waits; the same process goes on when it is free."""
    book, said = Book(folder, steps=10), ""
    holder = Holder(book.path)
    with mock.patch.object(database, "BUSY_SECONDS", PATIENCE):
        for _ in range(LONG):
            try:
                work(book.path, 0.0, experiment=at(moments.randrange(5), holder.lock), **book.parameters)
            except StoreError as error:
                said = str(error).replace(str(book.path), "").removeprefix("/")
                holder.free()
                book.struck()
    holder.end()
    return book.told(said)


FAULTS = {"store locked, 0.3 s": for_a_moment, "store locked, for long": for_long}


def test_a_store_that_is_locked_for_a_moment_is_waited_for(tmp_path):
    told = for_a_moment(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times == SHORT


def test_one_that_stays_locked_ends_the_run_with_one_line(tmp_path):
    told = for_long(tmp_path, random.Random(0))
    assert told.survived, told
    assert told.times == LONG
    assert told.said == (
        "labkit.sqlite: another program has kept it locked for 0.2 s; run again when that has ended: what is stored is"
        " safe"
    )


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """A store that another connection has locked."""
    with contextlib.closing(sqlite3.connect(path / FILE, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        yield


def test_it_is_waited_for_once_however_many_replicates_are_run_together(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", PATIENCE)
    with Store(tmp_path) as store:
        keys = [RunKey("99", "a" * 16, seed, "cpu") for seed in range(12)]
        leases = [store.claim(key, FakeSpec.of(sparsity=0.5)) for key in keys]
        began = time.monotonic()
        with pytest.raises(ZeroDivisionError), locked(tmp_path), Leases(*leases):
            raise ZeroDivisionError
        assert time.monotonic() - began < 3 * PATIENCE
        assert {store.status(key) for key in keys} == {"stopped"}
        with pytest.raises(StoreError, match="no longer"):
            store.finish(keys[0])


def test_a_stop_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", PATIENCE)
    key = RunKey("99", "a" * 16, 0, "cpu")
    with Store(tmp_path) as store:
        claimed = store.claim(key, FakeSpec.of(sparsity=0.5))
        with locked(tmp_path), pytest.raises(StoreError, match="kept it locked"), claimed:
            pass
        assert store.status(key) == "stopped"


def test_a_locked_store_cannot_be_opened_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", PATIENCE)
    Store(tmp_path).close()
    with locked(tmp_path), pytest.raises(BadInput, match="locked"):
        Store(tmp_path)
