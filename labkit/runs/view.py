"""The stored results of one Spec, as charts and claims read them. Asked anew at every call, so it fills in live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from labkit.runs.inputs import fingerprint as fingerprint_of
from labkit.runs.inputs import weights
from labkit.runs.location import store_path
from labkit.runs.naming import RunKey, run_name
from labkit.runs.reader import key_of
from labkit.runs.store import Store

if TYPE_CHECKING:
    import numpy as np

    from labkit.spec import Spec


class Question(Protocol):
    """What a view asks of an experiment (`labkit.runs.experiment.Experiment`)."""

    key: str
    version: int

    def impossible(self, point: Spec) -> str | None: ...


class View:
    """Everything the store holds of a Spec's grid points and seeds, on one kind of device.

    Args:
        store, experiment, spec: what to read.
        fingerprint: of the data set.
        device_kind: "cpu" or "cuda"; None for the Spec's device, which for "auto" is the only kind with results, or
            the one that would be used here.
    """

    def __init__(
        self, store: Store, experiment: Question, spec: Spec, fingerprint: str, device_kind: str | None = None
    ) -> None:
        self.store, self.experiment, self.spec, self.fingerprint = store, experiment, spec, fingerprint
        self._device_kind = device_kind
        self._named = [(point, self._name(point)) for point in spec.points()]

    @property
    def device_kind(self) -> str:
        """The kind of device whose replicates are read; those of different kinds are never mixed."""
        if self._device_kind or self.spec.device != "auto":
            return self._device_kind or self.spec.device
        kinds = self.store.device_kinds(self.experiment.key, (name for _, name in self._named))
        if len(kinds) == 1:
            return kinds.pop()
        from labkit.device import resolve

        return resolve("auto").type

    @property
    def points(self) -> list[tuple[Spec, str, dict[int, str]]]:
        """Each grid point as a Spec, its run's name, and the status of each seed."""
        kind = self.device_kind
        return [
            (
                point,
                name,
                {seed: self.store.status(self._key(name, seed, kind)) for seed in self.spec.replicate_seeds()},
            )
            for point, name in self._named
        ]

    @property
    def complete(self) -> bool:
        """Whether every seed of every possible grid point is finished."""
        return all(
            status == "finished"
            for point, _, statuses in self.points
            if self.experiment.impossible(point) is None
            for status in statuses.values()
        )

    def results(self) -> list[dict[str, Any]]:
        """One flat row per result of a finished replicate: the grid fields, seed, arm and the values."""
        seeds, kind = self.spec.replicate_seeds(), self.device_kind
        return [
            self.fields(point) | {field: value for field, value in row.items() if field not in ("name", "device_kind")}
            for point, name in self._named
            for row in self.store.results(name, self.experiment.key, kind)
            if row["seed"] in seeds
        ]

    def series(self, name: str) -> list[dict[str, Any]]:
        """One flat row per point of a series: the grid fields, seed and the values; of unfinished replicates too."""
        return [
            self.fields(point) | {"seed": key.seed} | row
            for point, key in self._replicates()
            for row in self.store.points(key, name)
        ]

    def arrays(self, point: Spec, seed: int, artifact: str) -> dict[str, np.ndarray]:
        """The arrays of an artifact of one replicate.

        Raises:
            KeyError: it is not there (yet).
        """
        return self.store.arrays(self._key(self._name(point), seed, self.device_kind), artifact)

    def impossible(self) -> list[dict[str, Any]]:
        """The grid fields of each point that cannot exist, and `why`."""
        reasons = ((point, self.experiment.impossible(point)) for point, _ in self._named)
        return [self.fields(point) | {"why": why} for point, why in reasons if why is not None]

    def planned_seeds(self) -> set[int]:
        """How many seeds were planned when the finished replicates were run; several numbers are several looks."""
        keys = {key for _, key in self._replicates()}
        rows = self.store.replicates(self.experiment.key)
        return {row["record"]["seeds_planned"] for row in rows if row["status"] == "finished" and key_of(row) in keys}

    def fields(self, point: Spec) -> dict[str, Any]:
        """The grid fields of a point, each with its one value."""
        return {name: getattr(point, name)[0] for name, item in point.controls().items() if item.grid}

    def _replicates(self) -> Iterator[tuple[Spec, RunKey]]:
        kind = self.device_kind
        for point, name in self._named:
            for seed in self.spec.replicate_seeds():
                yield point, self._key(name, seed, kind)

    def _key(self, name: str, seed: int, kind: str) -> RunKey:
        return RunKey(self.experiment.key, name, seed, kind)

    def _name(self, point: Spec) -> str:
        return run_name(self.experiment.key, self.experiment.version, point, self.fingerprint, weights(point))


def open_view(spec: Spec, experiment: Question, store: Store | None = None) -> View:
    """The view of a Spec, with its data loaded for their fingerprint, in its own store unless another is given.

    Raises:
        BadInput: the data or the store cannot be used.
    """
    store = store or Store(store_path(spec.store))
    return View(store, experiment, spec, fingerprint_of(spec, store))
