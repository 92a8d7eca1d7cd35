"""The one way an experiment is run: its events are iterated, stored and passed on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import device as devices
from labkit.runs.events import Checkpoint, Event, Point, Progress
from labkit.runs.experiment import Experiment, Job, Resources
from labkit.runs.inputs import load_inputs
from labkit.runs.lease import Leases
from labkit.runs.naming import RunKey
from labkit.runs.pace import Pace
from labkit.runs.pieces import Piece, claimed, earlier, events_of, pieces, planned, planned_record
from labkit.runs.record import describe_run
from labkit.runs.store import Store
from labkit.runs.turns import turns_of
from labkit.runs.view import View

if TYPE_CHECKING:
    import torch

    from labkit.data import Split
    from labkit.data.corpus import Corpus
    from labkit.runs.lease import Lease
    from labkit.runs.turns import NoTurns, Turns
    from labkit.spec import Spec

CHECKPOINT_SECONDS = 15.0
POINTS_SECONDS = 0.1
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Update:
    """An event on its way to whoever iterates the Worker; it is in the store already, points within POINTS_SECONDS.

    Args:
        key: of the replicate that it belongs to, or of the first of those that are run together; None while data are
            loaded or a turn on the device is waited for.
        point: of that replicate; None where it has no key, and where several are run together.
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

    On a card that it shares it has a turn for each piece, and begins nothing before: nobody else waits for a replicate
    whose owner waits. While nobody waits for the card it is kept from piece to piece.

    Args:
        experiment, spec, store: what is run, with which parameters, kept where.
        load: returns the split data of a Spec.
        turns: on the device; None for those that the environment asks for (`labkit.runs.turns`).
        clock: seconds from any origin.
    """

    def __init__(
        self,
        experiment: Experiment,
        spec: Spec,
        store: Store,
        *,
        load: Callable[[Spec, Store], Split | Corpus] = load_inputs,
        turns: Turns | NoTurns | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.experiment, self.spec, self.store = experiment, spec, store
        self._load, self._turns, self._pace = load, turns, Pace(clock)
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
        turns = self._turns or turns_of(device)
        try:
            yield from self._pieces(device, data, turns)
        except (Exception, KeyboardInterrupt) as error:
            _give_back(turns, device, error)
            raise
        finally:
            _give_back(turns, device)

    def _pieces(self, device: torch.device, data: Split | Corpus, turns: Turns | NoTurns) -> Iterator[Update]:
        if not self._stored(device, data):  # else there is nothing to wait for, and nothing to refuse
            yield from self._turn(turns, None)  # the check looks how much memory is free
            self.experiment.check(self.spec, data)
        record = planned_record(self.spec, describe_run(device), data.fingerprint)
        waiting, finished = planned(self.experiment, self.spec, self.store, data.fingerprint, device.type, record)
        self._pace.begin(total=finished + len(waiting), done=finished)
        while waiting:
            busy = []
            for together in pieces(self.experiment, waiting):
                yield from self._turn(turns, self._pace.seconds_for(len(together)))
                leases, own, others = claimed(self.store, together, record)
                busy += others
                self._pace.skip(len(together) - len(own) - len(others))
                if own:
                    yield from self._replicates(leases, own, device, data, turns)
                if turns.waited_for():
                    _give_back(turns, device)
            waiting = busy
            if busy:
                _give_back(turns, device)  # whoever writes them may need it
                yield self._update(Progress(0, 1, "waiting: another worker is at it"), *busy[0])
                self._pace.wait(WAIT_SECONDS)

    def _stored(self, device: torch.device, data: Split | Corpus) -> bool:
        """Whether there is nothing left to do."""
        view = View(self.store, self.experiment, self.spec, data.fingerprint, device.type)
        return view.complete and len(view.impossible()) < len(self.spec.points())

    def _turn(self, turns: Turns | NoTurns, seconds: float | None) -> Iterator[Update]:
        """Wait for a turn on the device, which will be needed for so long."""
        while (ahead := turns.come(seconds)) is not None:
            yield self._update(Progress(0, 1, str(ahead)))
            self._pace.wait(WAIT_SECONDS)

    def _replicates(
        self,
        leases: list[Lease],
        piece: Piece,
        device: torch.device,
        data: Split | Corpus,
        turns: Turns | NoTurns,
    ) -> Iterator[Update]:
        keys, began, finished = [key for key, _ in piece], self._pace.elapsed(), False
        share = self._pace.enter(len(keys))
        self._checkpoint_at, self._points_at = began, -math.inf
        shown = keys[0], piece[0][1] if len(piece) == 1 else None
        with Leases(*leases):
            jobs = [Job(point, key.seed) for key, point in piece]
            events = events_of(self.experiment, jobs, Resources(device, data, *earlier(self.store, piece)))
            try:
                for place, event in events:
                    if isinstance(event, Progress):
                        share.advance(event.done / event.total if event.total else 0.0)
                        turns.expect(self._pace.seconds_for(share.size - share.done))
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
                share.leave(finished)
            for lease in leases:
                self.store.finish(lease.key, lease.notes)
        yield self._update(Progress(1, 1, "finished"), *shown)

    def _keep(self, key: RunKey, event: Event) -> None:
        now = self._pace.elapsed()
        if isinstance(event, Point):
            self._points.setdefault(key, []).append(event)
        elif isinstance(event, Checkpoint):
            if now - self._checkpoint_at >= CHECKPOINT_SECONDS:
                self._flush(key, event)
                self._checkpoint_at = self._pace.elapsed()
        elif not isinstance(event, Progress):  # which is never stored
            self._flush(key, event)
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


def _give_back(turns: Turns | NoTurns, device: torch.device, error: BaseException | None = None) -> None:
    """End the turn, with the card's memory free for the next."""
    if turns.held:
        devices.free_memory(device, error)
    turns.leave()
