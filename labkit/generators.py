"""Long computations as generators: they yield while they work, so that a caller can stop, and return their result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Said = TypeVar("Said")
Result = TypeVar("Result")
Event = TypeVar("Event")


def exhaust(steps: Generator[Said, None, Result]) -> Result:
    """The result of a computation that nobody needs to watch."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def relay(steps: Generator[Said, None, Result], event: Callable[[Said], Event]) -> Generator[Event, None, Result]:
    """The same computation with `event(said)` in place of everything it says."""
    while True:
        try:
            said = next(steps)
        except StopIteration as end:
            return end.value
        yield event(said)
