"""SQLite with one connection per thread, and transactions that either happen or do not."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from labkit.errors import BadInput, StoreError
from labkit.runs import schema

BUSY_SECONDS = 30.0
FULL = "the disk is full; run again when there is room"
SAYS = {
    sqlite3.SQLITE_BUSY: "another program has kept it locked for {seconds:g} s; run again when that has ended",
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR_SHMSIZE: FULL,  # no room for WAL's index, which even reading needs
}
SAFE = "what is stored is safe"


class Database:
    """One SQLite file in WAL mode, used from any number of threads and processes of one machine.

    WAL keeps its index in shared memory, so the file must lie on a local disk: on a network folder two machines would
    not see each other's writes. Do not carry a Database through a fork.

    Raises:
        BadInput: the file cannot be made, read or written, is no database, or has a newer schema.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            newest = schema.prepare(self._connection())
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise BadInput("store", str(file.parent), f"a folder that can be written ({_reason(error)})") from error
        if newest > schema.VERSION:
            self.close()
            allowed = f"a store of version {schema.VERSION} or older; this one has version {newest}: update labkit"
            raise BadInput("store", str(file.parent), allowed)

    @contextlib.contextmanager
    def write(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from the start; rolled back whole when anything is raised inside.

        Args:
            durable: whether it must outlive a power cut, which costs a flush of the disk. One that need not is lost
                whole, if at all, and never when only the process dies.

        Raises:
            StoreError: SQLite refused (disk full, locked for longer than BUSY_SECONDS).
        """
        try:
            connection = self._connection()
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            try:
                connection.execute("BEGIN IMMEDIATE")  # inside: a Ctrl-C may come right behind it
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite ends some failed transactions itself
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise StoreError(f"{self.file}: {_words(error)}") from error

    def read(self, query: str, values: tuple[Any, ...] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query.

        Raises:
            StoreError: SQLite refused.
        """
        try:
            return self._connection().execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.file}: {_words(error)}") from error

    def close(self) -> None:
        """Close the connections of all threads; a later call opens new ones."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
            self._local = threading.local()

    def close_thread(self) -> None:
        """Close the calling thread's connection; for threads that end before the database does."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            with self._lock:
                self._all.remove(connection)
            connection.close()
            del self._local.connection

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            # Only `close` uses a connection from another thread than its own, hence no check by sqlite3.
            connection = sqlite3.connect(
                self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            with self._lock:
                self._all.append(connection)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
        return connection

    def __del__(self) -> None:
        for connection in getattr(self, "_all", ()):
            connection.close()


def _words(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0)
    said = SAYS.get(code) or SAYS.get(code & 0xFF)  # the low byte is the kind, the rest its details
    return f"{said.format(seconds=BUSY_SECONDS)}: {SAFE}" if said else str(error)


def _reason(error: OSError | sqlite3.Error) -> str:
    if isinstance(error, sqlite3.Error):
        words = _words(error)
        return words[0].lower() + words[1:]
    return (error.strerror or str(error)).lower()
