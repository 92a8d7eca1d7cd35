"""The store of then (make_old_store.py), and what it holds: read by SQLite alone, from the file as it lies in git."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from labkit.runs.store import FILE

OLD = Path(__file__).parent / "old_store"
HALF, QUARTER, TOUR = "b4d1d805b6ce1732", "27d14b8759a8b9e1", "66daca4f3d0a6a84"
IMPOSSIBLE, FAILED, STOPPED, KILLED = "b0c181cc2389968d", "9054be6e652f0b3c", "89f932774144a72b", "d57e5ba71364b9ef"


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
