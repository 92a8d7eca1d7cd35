"""What the tickets of a queue say, and in words how long the wait is."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

SKIP_SECONDS = 10.0  # who waits, and has not asked for so long, is passed over until it asks again
QUIET_SECONDS = 30.0
LONGEST = 1e7  # seconds; no ticket is believed beyond
WAITING, AT_WORK = "W", "R"


def ticket(at_work: bool, token: str, count: int, seconds: float | None) -> str:
    """A ticket's text.

    Args:
        token: of the owner.
        count: differs each time, so that others see that the owner lives.
        seconds: for which the owner will be at work yet; None if it does not know.
    """
    known = "" if seconds is None else f"{seconds:.1f}"
    return f"{AT_WORK if at_work else WAITING} {token} {count} {known}"


@dataclass(frozen=True)
class Said:
    """What a ticket says.

    Args:
        waiting: whether its owner waits still; whatever cannot be understood is taken to be at work.
        seconds: for how long the owner will be at work yet; None if it does not know.
        age: seconds since this was first seen here.
    """

    waiting: bool
    seconds: float | None
    age: float

    @classmethod
    def read(cls, text: str, age: float) -> Said:
        """From a ticket's text, which anybody may have written."""
        words = text.split()
        try:
            seconds = float(words[3]) if words[0] in (WAITING, AT_WORK) else None
        except (IndexError, ValueError):
            seconds = None
        if seconds is not None and not 0 <= seconds <= LONGEST:  # nan is not either
            seconds = None
        return cls(words[:1] == [WAITING], seconds, age)

    @property
    def left(self) -> float | None:
        """Seconds yet to come; None if nobody knows."""
        if self.seconds is None or self.quiet:
            return None
        return self.seconds if self.waiting else max(0.0, self.seconds - self.age)

    @property
    def quiet(self) -> bool:
        """Whether one at work has said nothing for long."""
        return not self.waiting and self.age >= QUIET_SECONDS

    @property
    def skipped(self) -> bool:
        """Whether one that waited has not asked for long, as when its run was paused."""
        return self.waiting and self.age >= SKIP_SECONDS


@dataclass(frozen=True)
class Ahead:
    """Those whose turn comes first.

    Args:
        said: theirs, those at work first.
        seats: how many may be at work at once.
    """

    said: tuple[Said, ...] = ()
    seats: int = 1

    @property
    def seconds(self) -> float:
        """Until one's turn, if those who do not say how long they need took no time."""
        free = [0.0] * self.seats
        for one in self.said:
            heapq.heapreplace(free, free[0] + (one.left or 0.0))
        return free[0]

    def __str__(self) -> str:
        """In words; nothing that stands in a ticket is shown but numbers."""
        if not self.said:
            return "waiting for the GPU"
        words = f"waiting for the GPU: {len(self.said)} ahead"
        if all(one.left is not None for one in self.said):
            words += f", about {_span(self.seconds)}"
        else:
            words += f", at least {_span(self.seconds)}" if self.seconds >= 1 else ", for how long is not known"
        quiet = max((one.age for one in self.said if one.quiet), default=0.0)
        return words + (f" (nothing heard for {_span(quiet)}: paused?)" if quiet else "")


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
