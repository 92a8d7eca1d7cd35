"""Seats without processes: each call is made at once, in this one, and a seat dies when it is told to."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import torch

from labkit.cluster.remote import Opened, Remote
from labkit.cluster.seats import Lost

NEVER = 1e9


class InlineSeat:
    """A seat.

    Args:
        answers: that it gives before it dies.
        says: falsely of itself when it is opened.
        seconds: between two looks at its clock. 100: each answer holds one event, and each checkpoint is due; 0:
            an answer holds all events up to a chunk, and no checkpoint is.
    """

    def __init__(self, answers: float, says: dict[str, Any], seconds: float) -> None:
        self._remote = Remote(clock=itertools.count(step=seconds).__next__)
        self._left, self._says, self.closed, self.asked = answers, says, False, []

    @property
    def dead(self):
        return self._left < 0

    def ask(self, method, *given):
        assert not self.closed
        self.asked.append(method)
        self._left -= 1
        self._answer = None if self.dead else getattr(self._remote, method)(*given)

    def answer(self):
        if self.dead:
            raise Lost("a process of the sweep has died (exit code -9)")
        return dataclasses.replace(self._answer, **self._says) if isinstance(self._answer, Opened) else self._answer

    def close(self):
        self.closed = True


class InlinePool:
    """Seats by turns.

    Args:
        answers: for each seat that is made, how many it gives; those after them live on.
        says: for each seat what it falsely says of itself.
        seconds: see `InlineSeat`.
    """

    threads = torch.get_num_threads()  # it is this process whose threads a seat would change

    def __init__(
        self,
        size: int = 2,
        answers: Iterable[float] = (),
        says: Iterable[dict[str, Any]] = (),
        seconds: float = 100,
    ) -> None:
        self.size, self.seats, self.closed, self._seconds = size, [], False, seconds
        self._answers, self._says = iter(answers), iter(says)

    def seat(self):
        self.seats.append(InlineSeat(next(self._answers, NEVER), next(self._says, {}), self._seconds))
        return self.seats[-1]

    def wait(self, seats, seconds):
        return list(seats)

    def close(self):
        self.closed = True
