"""How far a Worker is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Counts replicates, and time only while work is being done: a pause is no work.

    Args:
        clock: seconds from any origin; where it goes back it is taken to have stood still.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._worked, self._asked = 0.0, 0.0
        self._done, self._work, self._start, self.total = 0, 0.0, 0.0, 0
        self._open: list[Share] = []

    def go(self) -> None:
        """Work goes on."""
        self._asked = self._clock()

    def rest(self) -> None:
        """Work rests until `go`."""
        self.elapsed()

    def wait(self, seconds: float) -> None:
        """Sleep for so long: waiting is no work."""
        self.rest()
        time.sleep(seconds)
        self.go()

    def elapsed(self) -> float:
        """Seconds worked; to be asked while at work."""
        now = self._clock()
        self._worked += max(0.0, now - self._asked)
        self._asked = now
        return self._worked

    def begin(self, total: int, done: int) -> None:
        """The replicates are known: `total` of them, of which `done` need no work."""
        self.total, self._done, self._start = total, done, self.elapsed()

    def enter(self, replicates: int) -> Share:
        """So many replicates are begun, to be run together; others may be under way."""
        self._open.append(Share(self, replicates))
        return self._open[-1]

    def skip(self, replicates: int) -> None:
        """So many replicates were finished by another process."""
        self._done += replicates

    @property
    def done(self) -> float:
        """Replicates finished, the shares of those under way included."""
        return self._done + sum(share.done for share in self._open)

    def seconds_left(self) -> float | None:
        """Seconds expected for the rest at the speed so far; None while that is unknown."""
        spent = self.elapsed() - self._start
        if self._work <= 0 or spent <= 0:
            return None
        return spent * (self.total - self.done) / self._work

    def seconds_for(self, replicates: float) -> float | None:
        """Seconds expected for so many of the rest; None while that is unknown."""
        left, rest = self.seconds_left(), self.total - self.done
        return None if left is None or rest <= 0 else left * replicates / rest

    def worked(self, replicates: float) -> None:
        """So much was worked here."""
        self._work += replicates

    def left(self, share: Share, finished: bool) -> None:
        """Replicates are no longer under way."""
        self._open.remove(share)
        self._done += share.size if finished else 0


class Share:
    """Replicates that are run together, from `Pace.enter` to `leave`."""

    def __init__(self, pace: Pace, size: int) -> None:
        self._pace, self.size, self._fraction = pace, size, None

    @property
    def done(self) -> float:
        """Of these replicates, how many are done."""
        return self.size * (self._fraction or 0.0)

    def advance(self, fraction: float) -> None:
        """They are done to this share.

        The first share of resumed replicates was worked earlier and tells nothing of the speed.
        """
        fraction = min(max(fraction, 0.0), 1.0)
        if self._fraction is not None:
            self._pace.worked(self.size * max(0.0, fraction - self._fraction))
        self._fraction = fraction

    def leave(self, finished: bool) -> None:
        """They are left, finished or not."""
        if finished:
            self._pace.worked(self.size * (1.0 - (self._fraction or 0.0)))
        self._pace.left(self, finished)
