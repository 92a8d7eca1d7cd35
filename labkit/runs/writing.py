"""The statements behind `Store`'s methods. Each is called inside one of its transactions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.errors import StoreError
from labkit.runs.events import Artifact, Checkpoint, Chunk, Event, Point, Result
from labkit.runs.naming import RunKey
from labkit.runs.owner import LeaseLost, Owner
from labkit.runs.reader import OF_KEY, of
from labkit.runs.values import nested, plain

if TYPE_CHECKING:
    from labkit.spec import Spec

KINDS = {Chunk: "chunk", Checkpoint: "checkpoint", Artifact: "artifact"}
POINT_COLUMNS = ("name", "seed", "device_kind", "series")
RESULT_COLUMNS = ("name", "seed", "device_kind", "arm")


def find(db: sqlite3.Connection, key: RunKey) -> sqlite3.Row | None:
    """The replicate's row with its lease's columns, which are None without a lease."""
    return db.execute(f"SELECT * FROM replicate LEFT JOIN lease ON replicate = id WHERE {OF_KEY}", of(key)).fetchone()


def put(db: sqlite3.Connection, key: RunKey, spec: Spec, status: str, record: Mapping[str, Any], now: float) -> int:
    """Insert the replicate, or give it a new status, spec and record; its row's id."""
    return db.execute(
        "INSERT INTO replicate (experiment, name, seed, device_kind, status, spec, record, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, seed, device_kind, experiment) DO UPDATE"
        " SET status = excluded.status, spec = excluded.spec, record = excluded.record, error = '' RETURNING id",
        (*of(key), status, _text(spec.model_dump(mode="json")), _text(record), now),
    ).fetchone()[0]


def lend(db: sqlite3.Connection, row: int, token: str, owner: Owner, now: float) -> None:
    """Write the lease, and forget the points that the resumed run will say again: those after its last chunk or
    checkpoint."""
    db.execute(
        "DELETE FROM point WHERE replicate = :row AND id > (SELECT coalesce(max(last_point), 0) FROM file"
        " WHERE replicate = :row AND kind != 'artifact')",
        {"row": row},
    )
    values = (row, token, owner.host, owner.pid, owner.started, now)
    db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?)", values)


def held(db: sqlite3.Connection, key: RunKey, token: str | None) -> int:
    """The id of the replicate's row.

    Raises:
        LeaseLost: the token is not that of its lease.
    """
    found = find(db, key)
    if found is None or token is None or found["token"] != token:
        raise LeaseLost(f"run {key} is not, or no longer, claimed by this store object")
    return found["id"]


def keep(db: sqlite3.Connection, row: int, event: Event, file: tuple[str, str] | None) -> list[str]:
    """Insert an event, whose tensors are in `file` (name and sha256) by now; the names of files no longer needed."""
    if isinstance(event, Point):
        data = _text(plain(event.values, POINT_COLUMNS))
        db.execute("INSERT INTO point (replicate, series, data) VALUES (?, ?, ?)", (row, event.series, data))
    elif isinstance(event, Result):
        _keep_result(db, row, event)
    elif type(event) in KINDS:
        return _keep_file(db, row, event, *file)
    return []


def paths(db: sqlite3.Connection, row: int) -> list[str]:
    """The names of all the replicate's files."""
    return [file["path"] for file in db.execute("SELECT path FROM file WHERE replicate = ?", (row,))]


def end(db: sqlite3.Connection, row: int, status: str, error: str, record: Mapping[str, Any], now: float) -> None:
    """Give the lease back with a last status; what a resumed run would need goes when the status is finished."""
    old = json.loads(db.execute("SELECT record FROM replicate WHERE id = ?", (row,)).fetchone()["record"])
    finished = now if status == "finished" else None
    db.execute(
        "UPDATE replicate SET status = ?, error = ?, record = ?, finished = ? WHERE id = ?",
        (status, error, _text(old | nested("", record)), finished, row),
    )
    if status == "finished":
        db.execute("DELETE FROM file WHERE replicate = ? AND kind != 'artifact'", (row,))
    db.execute("DELETE FROM lease WHERE replicate = ?", (row,))


def _keep_result(db: sqlite3.Connection, row: int, event: Result) -> None:
    data = _text(plain(event.values, RESULT_COLUMNS))
    inserted = db.execute("INSERT OR IGNORE INTO result VALUES (?, ?, ?)", (row, event.arm, data)).rowcount
    if not inserted:
        old = db.execute("SELECT data FROM result WHERE replicate = ? AND arm = ?", (row, event.arm)).fetchone()["data"]
        if json.loads(old) != json.loads(data):
            raise StoreError(f"the result of arm {event.arm} is {old} and is not overwritten by {data}")


def _keep_file(
    db: sqlite3.Connection, row: int, event: Chunk | Checkpoint | Artifact, path: str, sha256: str
) -> list[str]:
    kind = KINDS[type(event)]
    replaced = "replicate = ? AND key = ? AND (kind = ? OR (kind = 'checkpoint' AND ? = 'chunk'))"
    values = (row, event.key, kind, kind)
    outdated = [old["path"] for old in db.execute(f"SELECT path FROM file WHERE {replaced}", values)]
    db.execute(f"DELETE FROM file WHERE {replaced}", values)
    newest = db.execute("SELECT coalesce(max(id), 0) FROM point WHERE replicate = ?", (row,)).fetchone()[0]
    db.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", (row, kind, event.key, path, sha256, newest))
    return [old for old in outdated if old != path]


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False)  # in the order given, which tables keep
