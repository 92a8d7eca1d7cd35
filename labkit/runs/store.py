"""The store: every run of every notebook, command and panel, written once and kept."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from labkit.errors import BadInput, Busy, StoreError
from labkit.runs import files, writing
from labkit.runs.database import Database
from labkit.runs.events import Checkpoint, Event, Point
from labkit.runs.lease import Lease
from labkit.runs.naming import RunKey
from labkit.runs.owner import Owner, Watch
from labkit.runs.reader import OF_KEY, Reader, key_of, of
from labkit.runs.values import nested

if TYPE_CHECKING:
    from labkit.spec import Spec

FILE = "labkit.sqlite"


class Finished(StoreError):
    """The replicate is done, or cannot exist: there is nothing left to claim."""


class Store(Reader):
    """One folder: labkit.sqlite, the tensor files below files/, and a secret key.

    Any number of threads and processes of one machine may use it at once. The folder must lie on a local disk: SQLite's
    WAL mode does not work across machines on a network folder. A replicate is written only under its lease.

    Args:
        path: the folder, made if missing.
        clock: seconds since the epoch. It may be set back: only heartbeats of other machines are judged by it.
        ticks: seconds from any origin, never set.

    Raises:
        BadInput: the folder cannot be made or written, or was written by a newer labkit.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path).expanduser().absolute()
        self._clock, self._watch = clock, Watch(clock, ticks)
        self._tokens: dict[RunKey, str] = {}
        self._database = Database(self.path / FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()

    def close_thread(self) -> None:
        """Close the calling thread's connection; for a thread that ends before the store does."""
        self._database.close_thread()

    @property
    def key(self) -> bytes:
        """32 random bytes, made once per store and readable by its owner alone: they key the fingerprints of private
        data, so that a fingerprint does not confirm who is in the data."""
        file = self.path / "key"
        try:
            if not file.exists():
                temporary = self.path / f"key.{secrets.token_hex(4)}.tmp"
                try:
                    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                        stream.write(secrets.token_bytes(32))
                        stream.flush()
                        os.fsync(stream.fileno())
                    with contextlib.suppress(FileExistsError):  # another process was first: its key is the store's
                        os.link(temporary, file)
                finally:
                    temporary.unlink(missing_ok=True)
            return file.read_bytes()
        except OSError as error:
            raise BadInput("store", str(self.path), f"a folder whose key can be read ({error.strerror})") from error

    def claim(self, key: RunKey, spec: Spec, record: Mapping[str, Any] | None = None) -> Lease:
        """The lease to write a replicate, as a context manager. A dead owner's is taken over, with what it had stored;
        points it said after its last chunk or checkpoint are dropped, since they will be said again.

        Args:
            spec: of the replicate's grid point.
            record: plain values to remember, laid over those of an earlier attempt.

        Raises:
            Busy: a living process holds it.
            Finished: it is finished or impossible.
        """
        owner, token, now = Owner.here(), secrets.token_hex(16), self._clock()
        lease = Lease(self, key, token, {})  # before its row: no other thread shall take that for one left behind
        with self._database.write() as db:
            old = writing.find(db, key)
            if old is not None and old["status"] in ("finished", "impossible"):
                raise Finished(f"run {key} is {old['status']}")
            if old is not None and self._owned(old):
                raise Busy(f"run {key} is being written by process {old['pid']}")
            lease.record = (json.loads(old["record"]) if old else {}) | nested("", record or {})
            row = writing.put(db, key, spec, "running", lease.record, now)
            writing.lend(db, row, token, owner, now)
            # A process killed between a file and its row, or between a row and its old file, left one over.
            files.remove_all_but(self.folder(key), writing.paths(db, row))
        self._tokens[key] = token
        return lease

    def holds(self, key: RunKey, token: str) -> bool:
        """Whether this lease is still this store's to end."""
        return self._tokens.get(key) == token

    def forget(self, key: RunKey, token: str) -> None:
        """Write nothing more under this lease."""
        if self.holds(key, token):
            del self._tokens[key]

    def heartbeat(self, key: RunKey, token: str) -> bool:
        """Say that the lease's owner lives; False when the lease has gone."""
        with self._database.write(durable=False) as db:
            return db.execute("UPDATE lease SET heartbeat = ? WHERE token = ?", (self._clock(), token)).rowcount == 1

    def write(self, key: RunKey, *events: Event) -> None:
        """Keep events of a replicate that this store holds the lease of: all of them or none.

        A checkpoint replaces that of the same key, a chunk deletes it. Results are written once: an equal one is
        ignored. Progress is not kept.

        Raises:
            StoreError: the lease was lost, the disk refused, or a different result of the same arm is there.
            ValueError: a value is not finite, or is no number, boolean or text; names the field.
        """
        stored = [(event, self._put_tensors(key, event)) for event in events]
        # Points alone are said again after a power cut; rows that name files must not be older than the files.
        with self._database.write(durable=not all(isinstance(event, Point) for event in events)) as db:
            row = writing.held(db, key, self._tokens.get(key))
            outdated = [path for event, file in stored for path in writing.keep(db, row, event, file)]
        for path in outdated:
            files.remove(self.folder(key) / files.plain_name(path))

    def finish(self, key: RunKey, record: Mapping[str, Any] | None = None) -> None:
        """Mark the replicate finished and give its lease back; its chunks and checkpoints are deleted."""
        self._end(key, "finished", record=record)

    def stop(self, key: RunKey, record: Mapping[str, Any] | None = None) -> None:
        """Mark the replicate stopped, to be resumed, and give its lease back."""
        self._end(key, "stopped", record=record)

    def fail(self, key: RunKey, error: str, record: Mapping[str, Any] | None = None) -> None:
        """Mark the replicate failed with the error's text, and give its lease back; a later claim resumes it."""
        self._end(key, "failed", error=error, record=record)

    def tidy(self, key: RunKey) -> None:
        """Delete files of a finished replicate that a process killed right after `finish` left over."""
        if self.status(key) == "finished":
            files.remove_all_but(self.folder(key), [file.name for file, _ in self._files(key, "artifact").values()])

    def impossible(self, key: RunKey, spec: Spec, why: str, record: Mapping[str, Any] | None = None) -> None:
        """Remember that this grid point cannot exist, and why. A replicate that is known already is left as it is."""
        with self._database.write() as db:
            if writing.find(db, key) is None:
                row = writing.put(db, key, spec, "impossible", nested("", record or {}), self._clock())
                db.execute("UPDATE replicate SET error = ? WHERE id = ?", (why, row))

    def remove(self, what: str | RunKey) -> int:
        """Delete a replicate, or all replicates of a run given by its full name; the number deleted.

        Raises:
            Busy: a living process writes one of them; nothing is deleted then.
        """
        where, values = ("name = ?", (what,)) if isinstance(what, str) else (OF_KEY, of(what))
        with self._database.write() as db:
            rows = db.execute(
                f"SELECT * FROM replicate LEFT JOIN lease ON replicate = id WHERE {where}", values
            ).fetchall()
            for row in rows:
                if self._owned(row):
                    raise Busy(f"run {key_of(row)} is being written by process {row['pid']}")
            db.execute(f"DELETE FROM replicate WHERE {where}", values)
        for row in rows:
            files.remove_folder(self.folder(key_of(row)), above=self.path / "files")
        return len(rows)

    def _end(self, key: RunKey, status: str, record: Mapping[str, Any] | None, error: str = "") -> None:
        with self._database.write() as db:
            row = writing.held(db, key, self._tokens.get(key))
            writing.end(db, row, status, error, record or {}, self._clock())
        del self._tokens[key]
        self.tidy(key)

    def _put_tensors(self, key: RunKey, event: Event) -> tuple[str, str] | None:
        kind = writing.KINDS.get(type(event))
        if kind is None:
            return None
        tensors = event.make() if isinstance(event, Checkpoint) else event.tensors
        return files.write_tensors(self.folder(key), kind, event.key, tensors)
