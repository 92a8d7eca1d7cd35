"""How far a Worker is, and how long it will take."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Counts replicates, and time only while work is being done: a pause is no work.

    Args:
        clock: seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before, self._began = 0.0, 0.0
        self._done, self._work, self._fraction, self._start = 0, 0.0, None, 0.0
        self._size, self.total = 1, 0

    def go(self) -> None:
        """Work goes on."""
        self._began = self._clock()

    def rest(self) -> None:
        """Work rests until `go`."""
        self._before = self.elapsed()
        self._began = self._clock()

    def elapsed(self) -> float:
        """Seconds worked; to be asked while at work."""
        return self._before + self._clock() - self._began

    def begin(self, total: int, done: int) -> None:
        """The replicates are known: `total` of them, of which `done` need no work."""
        self.total, self._done, self._start = total, done, self.elapsed()

    def enter(self, replicates: int) -> None:
        """So many replicates are begun, to be run together."""
        self._size = replicates

    def advance(self, fraction: float) -> None:
        """The current replicates are done to this share.

        The first share of resumed replicates was worked earlier and tells nothing of the speed.
        """
        fraction = min(max(fraction, 0.0), 1.0)
        if self._fraction is not None:
            self._work += self._size * max(0.0, fraction - self._fraction)
        self._fraction = fraction

    def leave(self, finished: bool) -> None:
        """The current replicates are left, finished or not."""
        if finished:
            self._done += self._size
            self._work += self._size * (1.0 - (self._fraction or 0.0))
        self._fraction = None

    def skip(self) -> None:
        """A replicate was finished by another process."""
        self._done += 1

    @property
    def done(self) -> float:
        """Replicates finished, the share of the current ones included."""
        return self._done + self._size * (self._fraction or 0.0)

    def seconds_left(self) -> float | None:
        """Seconds expected for the rest at the speed so far; None while that is unknown."""
        spent = self.elapsed() - self._start
        if self._work <= 0 or spent <= 0:
            return None
        return spent * (self.total - self.done) / self._work
