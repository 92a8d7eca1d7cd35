"""What must hold after a fault, whichever it was; for the tests and for `python -m tools.faults`."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fake_experiment import ARMS, EXPERIMENT, FakeSpec
from killable import work

from labkit.runs import Store
from labkit.runs.events import Event
from labkit.runs.experiment import Experiment, Resources
from labkit.runs.reader import key_of
from labkit.runs.store import FILE


@dataclass(frozen=True)
class Told:
    """What became of a run that a fault struck.

    Args:
        times: how often it struck.
        kept: finished results that were in the store before one strike or another.
        lost: those of them that were gone, or others, after it.
        wrong: what was found wrong after any strike, in words.
        said: what the struck run said, or how it went on.
        equal: whether the run resumed to the results, points and artifacts of an undisturbed one, bit for bit.
    """

    times: int
    kept: int
    lost: int
    wrong: tuple[str, ...]
    said: str
    equal: bool

    @property
    def survived(self) -> bool:
        """Whether nothing was lost; a fault that never struck, or had nothing to destroy, proves nothing."""
        return self.times > 0 and self.kept > 0 and self.lost == 0 and not self.wrong and self.equal


class Book:
    """A store that faults strike, and the same run undisturbed beside it.

    The struck store holds a finished replicate from the start, which no fault may take.

    Args:
        folder: an empty one.
        parameters: of the fake experiment; its pauses are left out where nothing strikes.
    """

    def __init__(self, folder: Path, **parameters: Any) -> None:
        self.path, self._whole = folder / "struck", folder / "whole"
        self.parameters = {"sparsity": "0.5", "seeds": 2} | parameters
        self._quick = self.parameters | {"delay": 0.0}
        work(self._whole, 1.0, **self._quick)
        work(self.path, 1.0, **self._quick | {"seeds": 1})
        self.times, self._safe, self._finished, self._wrong = 0, 0, [], []
        self.kept = self.lost = 0
        self._look()

    def struck(self) -> None:
        """Look at the store after a strike.

        Raises:
            RuntimeError: a replicate is held though nobody is at it, so that a next run would wait without an end.
        """
        self.times += 1
        self._look()

    def told(self, said: str) -> Told:
        """Resume the run to its end and compare; nothing strikes now."""
        work(self.path, 1.0, **self._quick)
        self._look()
        equal = outcome(self.path) == outcome(self._whole)
        return Told(self.times, self.kept, self.lost, tuple(dict.fromkeys(self._wrong)), said, equal)

    def _look(self) -> None:
        with Store(self.path) as store:
            self._wrong += store.integrity()
            results = store.results()
            held = [str(key_of(row)) for row in store.replicates() if row["status"] == "running"]
        if held:
            raise RuntimeError(f"held, and nobody is at it: {', '.join(held)}; found wrong so far: {self._wrong}")
        self.lost += sum(row not in results for row in self._finished)
        self._finished, self.kept = results, max(self.kept, len(results))
        now = safe(self.path)
        if now < self._safe:
            self._wrong.append(f"{self._safe - now} steps that were safe must be done again")
        self._safe = now


def outcome(path: Path) -> list[dict[str, Any]]:
    """Everything that must not depend on a fault: what is finished, its results, points in order, artifacts, files."""
    with Store(path) as store:
        keys = sorted((key_of(row) for row in store.replicates()), key=str)
        return [
            {
                "status": store.status(key),
                "results": [row for row in store.results(key.name) if row["seed"] == key.seed],
                "points": store.points(key, "curve"),
                "walked": {name: store.arrays(key, name)["walked"].tobytes() for name in store.artifacts(key)},
                "files": sorted(file.name for file in store.folder(key).iterdir()),
            }
            for key in keys
        ]


def safe(path: Path) -> int:
    """Steps of work that a resumed run need not do again."""
    with Store(path) as store:
        total = 0
        for row in store.replicates():
            key, steps = key_of(row), row["spec"]["steps"]
            done = len(ARMS) if row["status"] == "finished" else len(store.chunks(key))
            total += steps * done + sum(int(kept["step"]) for kept in store.checkpoints(key).values())
        return total


def leases(path: Path) -> set[str]:
    """The tokens of the leases in a store, read without a lock: whoever asks often must not be in a run's way."""
    with contextlib.closing(sqlite3.connect(f"{(path / FILE).as_uri()}?mode=ro", uri=True)) as connection:
        return {token for (token,) in connection.execute("SELECT token FROM lease")}


def at(place: int, strike: Callable[[], None]) -> Experiment:
    """The fake experiment, struck before the event of this number of each replicate that is run."""

    def run(point: FakeSpec, seed: int, resources: Resources) -> Iterator[Event]:
        for number, event in enumerate(EXPERIMENT.run(point, seed, resources)):
            if number == place:
                strike()
            yield event

    return dataclasses.replace(EXPERIMENT, run=run)
