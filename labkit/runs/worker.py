"""The one way an experiment is run: its events are iterated, stored and passed on."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit import device as devices
from labkit.errors import Busy
from labkit.runs.events import Checkpoint, Event, Point, Progress
from labkit.runs.experiment import Experiment, Job, Resources
from labkit.runs.inputs import load_inputs, weights
from labkit.runs.lease import Leases
from labkit.runs.naming import RunKey, run_name
from labkit.runs.pace import Pace
from labkit.runs.record import describe_run
from labkit.runs.store import Finished, Store

if TYPE_CHECKING:
    import torch

    from labkit.data import Split
    from labkit.data.corpus import Corpus
    from labkit.runs.lease import Lease
    from labkit.spec import Spec

CHECKPOINT_SECONDS = 15.0
POINTS_SECONDS = 0.1
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Update:
    """An event on its way to whoever iterates the Worker; it is in the store already, points within POINTS_SECONDS.

    Args:
        key: of the replicate that it belongs to, or of the first of those that are run together; None while data are
            loaded.
        point: of that replicate; None while data are loaded, and where several are run together.
        done, total: replicates, the finished share of the current one included.
        seconds_left: expected for the rest of the Spec; None while unknown.
    """

    event: Event
    key: RunKey | None
    point: Spec | None
    done: float
    total: float
    seconds_left: float | None


class Worker:
    """Runs every replicate of every grid point that the store does not hold yet.

    Args:
        experiment, spec, store: what is run, with which parameters, kept where.
        load: returns the split data of a Spec.
        clock: seconds from any origin.
    """

    def __init__(
        self,
        experiment: Experiment,
        spec: Spec,
        store: Store,
        *,
        load: Callable[[Spec, Store], Split | Corpus] = load_inputs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.experiment, self.spec, self.store = experiment, spec, store
        self._load, self._pace = load, Pace(clock)
        self._points: dict[RunKey, list[Point]] = {}
        self._points_at = self._checkpoint_at = -math.inf

    def run(self) -> Iterator[Update]:
        """Iterate to work; not asking is a pause; closing is a stop, after which another `run` resumes.

        A replicate that another living process writes is left to the end and waited for.

        Raises:
            BadInput: the Spec, the data or the device cannot be used; before anything is trained or stored.
            Exception: what the experiment raised; the replicate is marked failed with its text.
        """
        inner = self._run()
        try:
            while True:
                self._pace.go()
                update = next(inner, None)
                self._pace.rest()
                if update is None:
                    return
                yield update
        finally:
            self._pace.go()
            inner.close()

    def _run(self) -> Iterator[Update]:
        yield self._update(Progress(0, 1, "loading data"))
        device = devices.resolve(self.spec.device)
        data = self._load(self.spec, self.store)
        self.experiment.check(self.spec, data)
        record = describe_run(device) | {
            "preset": self.spec.preset,
            "seeds_planned": self.spec.seeds,
            "spec": self.spec.model_dump(mode="json"),
            "fingerprint": data.fingerprint,
            "weights": weights(self.spec),
        }
        waiting = self._plan(data.fingerprint, device.type, record)
        while waiting:
            busy = []
            for together in self._batches(waiting):
                leases, points = [], []
                for key, point in together:
                    try:
                        leases.append(self.store.claim(key, point, record))
                    except Busy:
                        busy.append((key, point))
                    except Finished:  # by another process, meanwhile
                        self._pace.skip()
                    else:
                        points.append(point)
                if leases:
                    yield from self._replicates(leases, points, device, data)
            waiting = busy
            if busy:
                yield self._update(Progress(0, 1, "waiting: another worker is at it"), *busy[0])
                time.sleep(WAIT_SECONDS)

    def _batches(self, waiting: list[tuple[RunKey, Spec]]) -> list[list[tuple[RunKey, Spec]]]:
        """What is left to do, in the pieces that are run together."""
        if self.experiment.together is None:
            return [[one] for one in waiting]
        pieces: dict[Hashable, list[tuple[RunKey, Spec]]] = {}
        for key, point in waiting:
            pieces.setdefault(self.experiment.together.by(Job(point, key.seed)), []).append((key, point))
        return list(pieces.values())

    def _plan(self, fingerprint: str, device_kind: str, record: dict[str, Any]) -> list[tuple[RunKey, Spec]]:
        """What is left to do; impossible points are put on record."""
        left, finished = [], 0
        for point in self.spec.points():
            name = run_name(self.experiment.key, self.experiment.version, point, fingerprint, weights(point))
            why = self.experiment.impossible(point)
            for seed in self.spec.replicate_seeds():
                key = RunKey(self.experiment.key, name, seed, device_kind)
                if why is not None:
                    self.store.impossible(key, point, why, record)
                elif self.store.status(key) == "finished":
                    self.store.tidy(key)
                    finished += 1
                else:
                    left.append((key, point))
        self._pace.begin(total=finished + len(left), done=finished)
        return left

    def _replicates(
        self, leases: list[Lease], points: list[Spec], device: torch.device, data: Split | Corpus
    ) -> Iterator[Update]:
        keys, began, finished = [lease.key for lease in leases], self._pace.elapsed(), False
        self._pace.enter(len(keys))
        self._checkpoint_at, self._points_at = began, -math.inf
        shown = keys[0], points[0] if len(points) == 1 else None
        with Leases(*leases):
            earlier = [merged(kept(key) for key in keys) for kept in (self.store.chunks, self.store.checkpoints)]
            events = self._events(points, keys, Resources(device, data, *earlier))
            try:
                for place, event in events:
                    self._keep(keys[place], event)
                    try:
                        yield self._update(event, *shown)
                    except GeneratorExit:
                        # The experiment stands where it offered this event, so that a checkpoint is still true.
                        self._flush(keys[place], *([event] if isinstance(event, Checkpoint) else []))
                        raise
                self._flush(keys[0])
                finished = True
            finally:
                events.close()
                for lease in leases:
                    spent = lease.record.get("wall_seconds", 0.0) + (self._pace.elapsed() - began) / len(keys)
                    lease.notes["wall_seconds"] = round(spent, 3)
                    lease.notes["peak_bytes"] = max(lease.record.get("peak_bytes", 0), devices.memory_peak(device))
                self._points.clear()
                self._pace.leave(finished)
            for lease in leases:
                self.store.finish(lease.key, lease.notes)
        yield self._update(Progress(1, 1, "finished"), *shown)

    def _events(self, points: list[Spec], keys: list[RunKey], resources: Resources) -> Iterator[tuple[int, Event]]:
        """The experiment's events, each with the place of its replicate."""
        if self.experiment.together is None:
            with contextlib.closing(self.experiment.run(points[0], keys[0].seed, resources)) as events:
                yield from ((0, event) for event in events)
        else:
            jobs = [Job(point, key.seed) for point, key in zip(points, keys, strict=True)]
            with contextlib.closing(self.experiment.together.run(jobs, resources)) as events:
                yield from events

    def _keep(self, key: RunKey, event: Event) -> None:
        now = self._pace.elapsed()
        if isinstance(event, Progress):
            self._pace.advance(event.done / event.total if event.total else 0.0)
        elif isinstance(event, Point):
            self._points.setdefault(key, []).append(event)
        elif not isinstance(event, Checkpoint):
            self._flush(key, event)
        elif now - self._checkpoint_at >= CHECKPOINT_SECONDS:
            self._flush(key, event)
            self._checkpoint_at = self._pace.elapsed()
        # Rows go to the disk a few times a second, not once each: a transaction costs a flush of the disk.
        if self._points and now - self._points_at >= POINTS_SECONDS:
            self._flush(key)
            self._points_at = now

    def _flush(self, key: RunKey, *events: Event) -> None:
        """Store the points that wait, and then these events of one replicate."""
        for other, points in self._points.items():
            if other != key:
                self.store.write(other, *points)
        own = self._points.get(key, [])
        if own or events:
            self.store.write(key, *own, *events)
        self._points.clear()

    def _update(self, event: Event, key: RunKey | None = None, point: Spec | None = None) -> Update:
        return Update(event, key, point, self._pace.done, self._pace.total, self._pace.seconds_left())


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several mappings as one."""
    return {key: value for part in parts for key, value in part.items()}
