"""What the store answers: everything a chart, a table or a resumed run asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import BadInput
from labkit.runs import files
from labkit.runs.database import Database
from labkit.runs.lease import held_here
from labkit.runs.naming import RunKey
from labkit.runs.owner import Owner, Watch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping

    import numpy as np
    from torch import Tensor

KEY_FIELDS = ("experiment", "name", "seed", "device_kind")
OF_KEY = "experiment = ? AND name = ? AND seed = ? AND device_kind = ?"


class Reader:
    """The questions; `Store` adds the writing. All raise StoreError where SQLite or the disk refuses."""

    path: Path
    _database: Database
    _watch: Watch

    def status(self, key: RunKey) -> str:
        """One of missing, running, stopped, finished, failed, impossible; running with a dead owner reads stopped."""
        rows = self._replicate_rows(f"WHERE {OF_KEY}", of(key))
        return self._status(rows[0]) if rows else "missing"

    def replicates(self, experiment: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
        """Everything known of each replicate, oldest first: the fields of its key, status, spec and record as
        dictionaries, created and finished in seconds since the epoch (finished is None before), error in words."""
        rows = self._replicate_rows(
            "WHERE (:experiment IS NULL OR experiment = :experiment) AND (:name IS NULL OR name = :name)",
            {"experiment": experiment, "name": name},
        )
        return [
            {field: row[field] for field in KEY_FIELDS}
            | {"status": self._status(row), "spec": json.loads(row["spec"]), "record": json.loads(row["record"])}
            | {field: row[field] for field in ("created", "finished", "error")}
            for row in rows
        ]

    def find(self, run: str) -> str:
        """The full name of the one run whose name begins with `run`.

        Raises:
            BadInput: none does, or several do.
        """
        names = [row["name"] for row in self._database.read("SELECT DISTINCT name FROM replicate ORDER BY name")]
        found = [name for name in names if run and name.startswith(run)]
        if len(found) == 1:
            return found[0]
        several = f"; {len(found)} begin so" if found else f"; it holds {len(names)}"
        raise BadInput("run", run, f"the first letters of the name of one run in {self.path}{several}")

    def results(
        self,
        name: str | None = None,
        experiment: str | None = None,
        device_kind: str | None = None,
        *,
        finished: bool = True,
    ) -> list[dict[str, Any]]:
        """One flat row per result: name, seed, device_kind, arm and the values; of finished replicates unless told."""
        rows = self._database.read(
            "SELECT name, seed, device_kind, arm, data FROM result JOIN replicate ON replicate.id = replicate"
            " WHERE (:name IS NULL OR name = :name) AND (:experiment IS NULL OR experiment = :experiment)"
            " AND (:device_kind IS NULL OR device_kind = :device_kind)"
            " AND (status = 'finished' OR NOT :finished) ORDER BY replicate.id, result.rowid",
            {"name": name, "experiment": experiment, "device_kind": device_kind, "finished": finished},
        )
        return [_flat(row, ("name", "seed", "device_kind", "arm")) for row in rows]

    def device_kinds(self, experiment: str, names: Iterable[str]) -> set[str]:
        """The kinds of devices on which replicates of these runs were finished."""
        rows = self._database.read(
            "SELECT DISTINCT device_kind FROM replicate WHERE experiment = ? AND status = 'finished'"
            " AND name IN (SELECT value FROM json_each(?))",
            (experiment, json.dumps(list(names))),
        )
        return {row["device_kind"] for row in rows}

    def points(self, key: RunKey, series: str) -> list[dict[str, Any]]:
        """The values of a series' points, in the order they were written."""
        rows = self._database.read(
            f"SELECT data FROM point JOIN replicate ON replicate.id = replicate WHERE {OF_KEY} AND series = ?"
            " ORDER BY point.id",
            (*of(key), series),
        )
        return [json.loads(row["data"]) for row in rows]

    def points_since(
        self,
        cursor: int,
        experiment: str | None = None,
        series: str | None = None,
        names: Iterable[str] | None = None,
    ) -> tuple[int, list[dict[str, Any]]]:
        """The points written after a cursor (0 for all), and the cursor for the next call.

        Rows carry name, seed, device_kind, series and the values. A run that resumes drops the points which it will
        say again, so whoever draws them should begin anew at 0 when a run is claimed.
        """
        wanted = None if names is None else json.dumps(list(names))
        rows = self._database.read(
            "SELECT point.id, name, seed, device_kind, series, data FROM point"
            " JOIN replicate ON replicate.id = replicate WHERE point.id > :cursor"
            " AND (:experiment IS NULL OR experiment = :experiment) AND (:series IS NULL OR series = :series)"
            " AND (:names IS NULL OR name IN (SELECT value FROM json_each(:names))) ORDER BY point.id",
            {"cursor": cursor, "experiment": experiment, "series": series, "names": wanted},
        )
        return rows[-1]["id"] if rows else cursor, [
            _flat(row, ("name", "seed", "device_kind", "series")) for row in rows
        ]

    def artifacts(self, key: RunKey) -> list[str]:
        """The names of the replicate's artifacts, sorted."""
        return sorted(self._files(key, "artifact"))

    def arrays(self, key: RunKey, artifact: str) -> dict[str, np.ndarray]:
        """The arrays of an artifact; bfloat16 comes as float32.

        Raises:
            KeyError: no such artifact.
        """
        import torch

        tensors = files.read_tensors(*self._files(key, "artifact")[artifact])
        return {n: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for n, t in tensors.items()}

    def export(self, names: Iterable[str], folder: Path, without: Collection[str] = ()) -> list[Path]:
        """Copy the artifacts of runs, but those `without`, to `folder`/<name>/<seed>-<device kind>/; the copies' paths.

        Raises:
            BadInput: the folder cannot be written.
        """
        made = []
        for key in (key_of(row) for name in names for row in self.replicates(name=name)):
            for artifact, (file, sha256) in self._files(key, "artifact").items():
                if artifact in without:
                    continue
                data = files.read_bytes(file, sha256)
                path = folder / key.name / file.parent.name / file.name
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files.write_atomically(path, data)
                except OSError as error:
                    raise BadInput("output", str(folder), f"a folder that can be written ({error.strerror})") from error
                made.append(path)
        return made

    def chunks(self, key: RunKey) -> dict[str, dict[str, Tensor]]:
        """The tensors of the finished chunks, by key, on the CPU."""
        return {name: files.read_tensors(*file) for name, file in self._files(key, "chunk").items()}

    def checkpoints(self, key: RunKey) -> dict[str, dict[str, Tensor]]:
        """The tensors of the unfinished chunks, by key, on the CPU."""
        return {name: files.read_tensors(*file) for name, file in self._files(key, "checkpoint").items()}

    def folder(self, key: RunKey) -> Path:
        """Where the replicate's tensor files are.

        Raises:
            StoreError: a part of the key is no plain name, as in a store that somebody made by hand.
        """
        return self.path / "files" / files.plain_name(key.name) / files.plain_name(f"{key.seed}-{key.device_kind}")

    def integrity(self) -> list[str]:
        """What is wrong with the store, in words; empty when nothing is. Reads every file."""
        wrong = [row[0] for row in self._database.read("PRAGMA integrity_check") if row[0] != "ok"]
        wrong += [f"row {tuple(row)} points nowhere" for row in self._database.read("PRAGMA foreign_key_check")]
        for row in self._database.read("SELECT * FROM file JOIN replicate ON replicate.id = replicate"):
            try:
                files.read_bytes(self.folder(key_of(row)) / files.plain_name(row["path"]), row["sha256"])
            except files.StoreError as error:
                wrong.append(str(error))
        return wrong

    def _files(self, key: RunKey, kind: str) -> dict[str, tuple[Path, str]]:
        rows = self._database.read(
            f"SELECT key, path, sha256 FROM file JOIN replicate ON id = replicate WHERE {OF_KEY} AND kind = ?",
            (*of(key), kind),
        )
        return {row["key"]: (self.folder(key) / files.plain_name(row["path"]), row["sha256"]) for row in rows}

    def _replicate_rows(self, where: str, values: tuple[Any, ...] | Mapping[str, Any]) -> list[sqlite3.Row]:
        joined = "SELECT * FROM replicate LEFT JOIN lease ON lease.replicate = replicate.id"
        return self._database.read(f"{joined} {where} ORDER BY replicate.id", values)

    def _status(self, row: sqlite3.Row) -> str:
        return "stopped" if row["status"] == "running" and not self._owned(row) else row["status"]

    def _owned(self, row: sqlite3.Row) -> bool:
        if row["token"] is None:
            return False
        owner = Owner(row["host"], row["pid"], row["started"])
        if owner.is_here():
            return held_here(row["token"])
        return owner.living(row["heartbeat"], row["heartbeat"] + self._watch.age(row["token"], row["heartbeat"]))


def of(key: RunKey) -> tuple[str, str, int, str]:
    """The values for OF_KEY."""
    return key.experiment, key.name, key.seed, key.device_kind


def key_of(row: sqlite3.Row | dict[str, Any]) -> RunKey:
    """The key of a replicate's row."""
    return RunKey(*(row[field] for field in KEY_FIELDS))


def _flat(row: sqlite3.Row, fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: row[field] for field in fields} | json.loads(row["data"])
