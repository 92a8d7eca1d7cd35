"""The tables of the store, their version, and how an older store becomes a current one."""

from __future__ import annotations

import sqlite3
import time

TABLES = (
    """CREATE TABLE replicate (
        id INTEGER PRIMARY KEY,
        experiment TEXT NOT NULL,
        name TEXT NOT NULL,
        seed INTEGER NOT NULL,
        device_kind TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('running', 'stopped', 'finished', 'failed', 'impossible')),
        spec TEXT NOT NULL,
        record TEXT NOT NULL,
        created REAL NOT NULL,
        finished REAL,
        error TEXT NOT NULL DEFAULT '',
        UNIQUE (name, seed, device_kind, experiment))""",
    """CREATE TABLE lease (
        replicate INTEGER PRIMARY KEY REFERENCES replicate ON DELETE CASCADE,
        token TEXT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started REAL NOT NULL,
        heartbeat REAL NOT NULL)""",
    # AUTOINCREMENT: an id is never used again, so a live chart's cursor misses nothing after rows were dropped.
    """CREATE TABLE point (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        replicate INTEGER NOT NULL REFERENCES replicate ON DELETE CASCADE,
        series TEXT NOT NULL,
        data TEXT NOT NULL)""",
    "CREATE INDEX point_by_replicate ON point (replicate, series)",
    """CREATE TABLE result (
        replicate INTEGER NOT NULL REFERENCES replicate ON DELETE CASCADE,
        arm TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (replicate, arm))""",
    # last_point: the newest point when the file was stored; a resumed run says the later ones again.
    """CREATE TABLE file (
        replicate INTEGER NOT NULL REFERENCES replicate ON DELETE CASCADE,
        kind TEXT NOT NULL CHECK (kind IN ('chunk', 'checkpoint', 'artifact')),
        key TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        last_point INTEGER NOT NULL,
        PRIMARY KEY (replicate, kind, key))""",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in TABLES:
        connection.execute(statement)


# The step at place v turns version v into v + 1. A changed schema is a new function at the end; none is ever edited.
STEPS = (_first,)
VERSION = len(STEPS)


def prepare(connection: sqlite3.Connection) -> int:
    """Bring a new or older store to the current version, and make sure that it can be written.

    Returns:
        The version found after that: VERSION, or a higher one, of which nothing was touched.

    Raises:
        sqlite3.Error: the file is no database or cannot be written.
    """
    found = version(connection)
    if found > VERSION:
        return found
    _use_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version(connection)  # another process may have migrated it meanwhile
        if found == 0:
            connection.execute("CREATE TABLE schema (version INTEGER NOT NULL)")
            connection.execute("INSERT INTO schema VALUES (0)")
        for step in STEPS[found:]:
            step(connection)
        # Written where nothing changed too: SQLite tells only at a write that it cannot.
        connection.execute("UPDATE schema SET version = ?", (max(found, VERSION),))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return max(found, VERSION)


def version(connection: sqlite3.Connection) -> int:
    """The schema version of a store; 0 for an empty file."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema'").fetchone():
        return 0
    return connection.execute("SELECT version FROM schema").fetchone()[0]


def _use_wal(connection: sqlite3.Connection, seconds: float = 30.0) -> None:
    # SQLite does not wait for its busy timeout when two processes make a new file a WAL one at the same moment.
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
