"""The seats of a sweep that are at no piece: those that start still, and those that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import labkit
from labkit.cluster.remote import Opened
from labkit.cluster.seats import Lost, Pool, Seat
from labkit.errors import BadInput, LabError

if TYPE_CHECKING:
    from labkit.spec import Spec

STARTS = 10  # processes that may die in a sweep before one more that dies while it starts ends it


class Crew:
    """Starts seats, takes them in once they answer, and counts those that die.

    Args:
        pool: where they come from.
        home: module whose EXPERIMENT is run.
        spec: what all will run.
        key: the store's.

    Attributes:
        starting, free: seats; whoever gives one a piece takes it out of `free`.
        lost: how many processes have died.
    """

    def __init__(self, pool: Pool, home: str, spec: Spec, key: bytes) -> None:
        self._pool, self._home, self._spec, self._key = pool, home, spec, key
        self.starting: list[Seat] = []
        self.free: list[Seat] = []
        self.lost = 0
        self._first: Opened | None = None

    def start(self) -> None:
        """Start one more."""
        self.starting.append(self._pool.seat())
        self.starting[-1].ask("open", self._home, self._spec.model_dump(mode="json"), self._key, self._pool.threads)

    def first(self) -> Opened:
        """Take in the only one that starts: what it says must hold for all.

        Raises:
            Lost: its process has died.
            BadInput: the Spec, the data or the device cannot be used there.
            LabError: it has another labkit.
        """
        self._first = self._heard(self.starting[0])
        self.free.append(self.starting.pop())
        return self._first

    def take_in(self, seat: Seat) -> None:
        """One that starts can answer. A replicate's name holds the data and the kind of device: they must be the same.

        Raises:
            Lost: too many processes have died.
            BadInput: as `first`, or it has other data or another kind of device than the first.
            LabError: as `first`.
        """
        self.starting.remove(seat)
        try:
            opened = self._heard(seat)
        except Lost:
            self.bury(seat)
            if self.lost > STARTS:
                raise
            self.start()
            return
        first = self._first
        if opened.fingerprint != first.fingerprint:
            raise BadInput("data", self._spec.data, "the same data on every worker; they differ")
        if opened.device_kind != first.device_kind:
            kinds = f"{first.device_kind} and {opened.device_kind}"
            raise BadInput("device", self._spec.device, f"one kind of device on all workers, here {kinds}: cpu or cuda")
        self.free.append(seat)

    def bury(self, seat: Seat) -> None:
        """Its process has died."""
        seat.close()
        self.lost += 1

    def rest(self) -> None:
        """Have those that are free give their card's memory back; one that has died is replaced."""
        resting, self.free = self.free, []
        for seat in resting:
            seat.ask("rest")
        for seat in resting:
            try:
                seat.answer()
            except Lost:
                self.bury(seat)
                self.start()
            else:
                self.free.append(seat)

    def disband(self) -> None:
        """The pool is closed: all have ended. Those that have died stay counted."""
        self.starting, self.free = [], []

    def _heard(self, seat: Seat) -> Opened:
        opened: Opened = seat.answer()
        if opened.version != labkit.__version__:
            raise LabError(
                f"a worker has labkit {opened.version}, this is {labkit.__version__}: install the same there"
            )
        if opened.refused:
            raise BadInput(*opened.refused)
        return opened
