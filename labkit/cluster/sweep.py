"""A Spec run by many processes at once, all of it kept in one store."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from labkit.cluster.crew import Crew
from labkit.cluster.packed import pack_tensors, unpack
from labkit.cluster.remote import Said, Task
from labkit.cluster.running import Failure, Running
from labkit.cluster.seats import Lost, Pool, Seat
from labkit.experiments import MODULES
from labkit.runs.events import Event, Progress
from labkit.runs.naming import RunKey, canonical
from labkit.runs.pace import Pace
from labkit.runs.pieces import Piece, claimed, earlier, pieces, planned, planned_record
from labkit.runs.turns import NoTurns
from labkit.runs.worker import WAIT_SECONDS, Update

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment
    from labkit.runs.several import SomeTurns
    from labkit.runs.store import Store
    from labkit.spec import Spec

RETRIES = 3  # of a piece whose process dies: it may be the piece that kills it
STARTING = Progress(0, 1, "starting a process, loading data")


class Sweep:
    """Runs every replicate that the store does not hold yet on the seats of a pool.

    Pieces are those of a `Worker`; where there are fewer than seats they are divided by seeds, whose numbers do not
    depend on each other. A piece whose process dies goes on from its checkpoint on another seat. A replicate that fails
    is marked, and the others go on. A sweep has its turn on the cards as a whole, whatever the number of its seats.

    Args:
        experiment, spec, store: what is run, with which parameters, kept where; this process alone writes the store.
        pool: where it is run.
        home: the module whose EXPERIMENT it is, for the processes; None for the lab's own.
        turns: on the cards of this machine that the pool is on; None takes none.
        clock: seconds from any origin.
    """

    def __init__(
        self,
        experiment: Experiment,
        spec: Spec,
        store: Store,
        pool: Pool,
        *,
        home: str | None = None,
        turns: SomeTurns | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.experiment, self.spec, self.store, self.pool = experiment, spec, store, pool
        self.failures: list[Failure] = []
        self.fingerprint = ""  # of the data, once they are loaded
        self._home = home or MODULES[experiment.key]
        self._pace, self._turns = Pace(clock), turns or NoTurns()
        self._crew = Crew(pool, self._home, spec, store.key)
        self._worked = False  # in this turn
        self._running: dict[Seat, Running] = {}
        self._places = {_text(point): place for place, point in enumerate(spec.points())}

    def run(self) -> Iterator[Update]:
        """Iterate to work; closing is a stop, after which another `run` resumes.

        Raises:
            BadInput: the Spec, the data or the device cannot be used there; before anything is trained or stored.
            LabError: a process cannot be started, or has another labkit.
        """
        self._pace.go()
        self._running = {}
        try:
            yield from self._run()
        finally:
            self.pool.close()
            self._crew.disband()
            self._turns.leave()
            for one in self._running.values():
                one.leave(None, finished=False, elapsed=self._pace.elapsed())

    @property
    def lost(self) -> int:
        """Processes that have died."""
        return self._crew.lost

    def _run(self) -> Iterator[Update]:
        crew = self._crew
        yield from self._turn(None)  # a process that starts looks how much memory is free
        crew.start()
        yield self._update(STARTING)
        while not self.pool.wait(crew.starting, WAIT_SECONDS):  # on a cluster it may have to wait for a place
            yield self._update(STARTING)
        opened = crew.first()
        self.fingerprint, kind = opened.fingerprint, opened.device_kind
        record = planned_record(self.spec, opened.record, self.fingerprint)
        left, finished = planned(self.experiment, self.spec, self.store, self.fingerprint, kind, record)
        self._pace.begin(total=finished + len(left), done=finished)
        waiting = deque((piece, RETRIES) for piece in divided(pieces(self.experiment, left), self.pool.size))
        for _ in range(min(self.pool.size, len(waiting)) - 1):
            crew.start()
        busy: list[Piece] = []
        while waiting or self._running or busy:
            if waiting and not self._running:
                if self._worked and self._turns.waited_for():
                    self._give_back()
                together = sum(len(piece) for piece, _ in islice(waiting, self.pool.size))
                yield from self._turn(self._pace.seconds_for(together))
            # Where others wait, what is under way is brought to its end, and nothing more is begun in this turn.
            while crew.free and waiting and not (self._running and self._turns.waited_for()):
                busy += self._begin(*waiting.popleft(), record)
            if self._running or crew.starting:
                for seat in self.pool.wait([*self._running, *crew.starting], WAIT_SECONDS):
                    if seat in crew.starting:
                        crew.take_in(seat)
                    else:
                        yield from self._hear(seat, waiting)
            elif busy:  # what is left is written by others, who may need the cards
                self._give_back()
                yield self._update(Progress(0, 1, "waiting: another worker is at it"), busy[0][0][0])
                self._pace.wait(WAIT_SECONDS)
                waiting.extend((piece, RETRIES) for piece in busy)
                busy = []

    def _turn(self, seconds: float | None) -> Iterator[Update]:
        """Wait for a turn on the cards, which will be needed for so long."""
        while (ahead := self._turns.come(seconds)) is not None:
            yield self._update(Progress(0, 1, str(ahead)))
            self._pace.wait(WAIT_SECONDS)

    def _give_back(self) -> None:
        """End the turn, with the cards' memory free for the next."""
        if self._turns.held:
            self._crew.rest()
        self._turns.leave()
        self._worked = False

    def _hear(self, seat: Seat, waiting: deque[tuple[Piece, int]]) -> Iterator[Update]:
        """Take an answer of a process at work."""
        one = self._running[seat]
        try:
            said: Said = seat.answer()
        except Lost as error:
            del self._running[seat]
            self._crew.bury(seat)
            self._again(one, error, waiting)
            if waiting and not self._crew.free:
                self._crew.start()
            yield self._update(Progress(0, 1, str(error)), one.keys[0])
            return
        yield from self._kept(one, said)
        if not said.ended:
            seat.ask("more")
            return
        del self._running[seat]
        self._crew.free.append(seat)
        yield self._ended(one, said)

    def _begin(self, piece: Piece, lives: int, record: Mapping[str, Any]) -> list[Piece]:
        """Claim a piece and begin what may be written now; returns what others write, if anything."""
        leases, own, others = claimed(self.store, piece, record)
        self._pace.skip(len(piece) - len(own) - len(others))
        if own:
            self._worked = True
            seat = self._crew.free.pop()
            self._running[seat] = Running(own, leases, self._pace.enter(len(own)), self._pace.elapsed(), lives)
            known = ({k: pack_tensors(t) for k, t in kept.items()} for kept in earlier(self.store, own))
            seat.ask("begin", Task([(self._places[_text(point)], key.seed) for key, point in own], *known))
        return [others] if others else []

    def _kept(self, one: Running, said: Said) -> Iterator[Update]:
        """Store what was said, one transaction for each replicate in a row, and pass it on."""
        events = [(place, unpack(packed)) for place, packed in said.events]
        groups: list[tuple[int, list]] = []
        for place, event in events:
            if isinstance(event, Progress):
                one.share.advance(event.done / event.total if event.total else 0.0)
            elif groups and groups[-1][0] == place:
                groups[-1][1].append(event)
            else:
                groups.append((place, [event]))
        self._turns.expect(
            self._pace.seconds_for(sum(run.share.size - run.share.done for run in self._running.values()))
        )
        for place, some in groups:
            self.store.write(one.keys[place], *some)
        for _, event in events:
            yield self._update(event, one.keys[0], one.point)

    def _ended(self, one: Running, said: Said) -> Update:
        for lease in one.leases:
            lease.notes["peak_bytes"] = max(lease.record.get("peak_bytes", 0), said.peak_bytes)
        if said.error is None:
            one.leave(None, finished=True, elapsed=self._pace.elapsed())
            return self._update(Progress(1, 1, "finished"), one.keys[0])
        return self._failed(one, said.error)

    def _failed(self, one: Running, error: str) -> Update:
        self.failures += [Failure(key, point, error) for key, point in one.piece]
        one.leave(error, finished=False, elapsed=self._pace.elapsed())
        return self._update(Progress(0, 1, f"failed: {error}"), one.keys[0])

    def _again(self, one: Running, error: Lost, waiting: deque) -> None:
        """A piece whose process has died goes on elsewhere, unless it has done so too often."""
        if one.lives == 0:
            self._failed(one, f"{error}, as {RETRIES} times before")
            return
        # Given back and claimed anew, so that points said after the last checkpoint are dropped: they come again.
        one.leave(None, finished=False, elapsed=self._pace.elapsed())
        waiting.appendleft((one.piece, one.lives - 1))

    def _update(self, event: Event, key: RunKey | None = None, point: Spec | None = None) -> Update:
        return Update(event, key, point, self._pace.done, self._pace.total, self._pace.seconds_left())


def divided(found: list[Piece], seats: int) -> list[Piece]:
    """As many pieces as seats, if there are seeds enough: the largest piece is halved by seeds, again and again."""
    made = list(found)
    while len(made) < seats:
        most = max(made, key=lambda piece: len({key.seed for key, _ in piece}), default=[])
        seeds = sorted({key.seed for key, _ in most})
        if len(seeds) < 2:
            break
        made.remove(most)
        half = set(seeds[: len(seeds) // 2])
        made += [[one for one in most if (one[0].seed in half) == first] for first in (True, False)]
    return made


def _text(point: Spec) -> str:
    return canonical(point.model_dump(mode="json"))
