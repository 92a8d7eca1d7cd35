"""Long computations as generators: they yield (done, total) so that a caller can stop, and return their result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

Result = TypeVar("Result")
Event = TypeVar("Event")

Steps = Generator[tuple[int, int], None, Result]
"""Yields (done, total) after each piece of work; the generator's return value is the result."""


def exhaust(steps: Steps[Result]) -> Result:
    """The result of a computation that nobody needs to watch."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def relay(steps: Steps[Result], event: Callable[[int, int], Event]) -> Generator[Event, None, Result]:
    """The same computation with `event(done, total)` in place of each pair.

    In an experiment: `losses = yield from relay(plane(...), lambda done, total: Progress(done, total, "landscape"))`.
    """
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            return end.value
        yield event(done, total)
