"""One exercise: what is asked, how the truth is computed, and what typical mistakes are called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.lessons.answers import described, differences, numbers, same
from labkit.streams import stream_seed

Case = tuple[Any, ...]


@dataclass(frozen=True)
class Told:
    """What a learner is told.

    Args:
        right: whether the answer is right.
        words: one line.
    """

    right: bool
    words: str


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, recognised by what it computes.

    Args:
        of: the same arguments as the truth's; what somebody gets who makes this mistake.
        says: what is wrong, without the answer.
    """

    of: Callable[..., Any]
    says: str


def _once(generator: np.random.Generator) -> Sequence[Case]:
    return [()]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A question whose answer is a function, or a value where `truth` takes no arguments.

    Args:
        name: the notebook's number and a name: "00.interval".
        task: what to write, in a sentence or two.
        returns: what kind of answer is expected, in words.
        truth: computes the right answer.
        cases: makes the inputs that a function is tried on.
        mistakes: looked for in this order.
        hint: for an answer that is wrong in no typical way.
        lesson: what to take along from a right answer.
        also: other right answers, such as another valid bound.
        parts: names of the numbers of an answer, where each has one.
        tolerance: as a share of the largest number of the right answer.
    """

    name: str
    task: str
    returns: str
    truth: Callable[..., Any]
    cases: Callable[[np.random.Generator], Sequence[Case]] = _once
    mistakes: tuple[Mistake, ...]
    hint: str
    lesson: str
    also: tuple[Callable[..., Any], ...] = ()
    parts: tuple[str, ...] = ()
    tolerance: float = 1e-5

    @property
    def takes(self) -> tuple[str, ...]:
        """The arguments of the function that is asked for; none where a value is."""
        return tuple(inspect.signature(self.truth).parameters)

    def tried(self) -> list[Case]:
        """The inputs, the same each time."""
        return list(self.cases(np.random.default_rng(stream_seed(0, "lesson", self.name))))

    def judge(self, answer: Any) -> Told:
        """Whether an answer is right, and why not."""
        if answer is ...:
            return Told(False, f"nothing filled in yet. {self.task}")
        if callable(answer) != bool(self.takes):
            wanted = f"a function of {', '.join(self.takes)}" if self.takes else self.returns
            return self._not_yet(f"expected {wanted}; yours is {described(answer)}")
        cases = self.tried()
        try:
            with np.errstate(all="ignore"):
                given = [answer(*copy.deepcopy(case)) if self.takes else answer for case in cases]
                again = answer(*copy.deepcopy(cases[0])) if self.takes else answer
        # The learner's own code: whatever it raises is told, not raised.
        except Exception as error:
            kinds = ", ".join(described(value) for value in cases[0])
            return self._not_yet(f"your function stopped with {type(error).__name__}: {error} (called with {kinds})")
        if any(value is ... for value in given):
            return Told(False, f"nothing filled in yet. {self.task}")
        if any(value is None for value in given):
            return self._not_yet("your function returns nothing: a line with `return` is missing")
        return self._compared(cases, [numbers(value) for value in given], numbers(again), given[0])

    def _compared(self, cases: list[Case], given: list[Any], again: Any, first: Any) -> Told:
        with np.errstate(all="ignore"):
            truths = [numbers(self.truth(*case)) for case in cases]
        if any(value is None for value in given):
            return self._not_yet(f"expected {self.returns}; yours is {described(first)}")
        if not same([given[0]], [again], truths[:1], self.tolerance):
            return self._not_yet("two calls with the same input gave different answers: average over more repeats")
        if any(self._equal(given, right, cases, truths) for right in (self.truth, *self.also)):
            return Told(True, f"right. {self.lesson}")
        for mistake in self.mistakes:
            if self._equal(given, mistake.of, cases, truths):
                return self._not_yet(mistake.says)
        if any(value.shape != truth.shape for value, truth in zip(given, truths, strict=True)):
            return self._not_yet(f"expected {self.returns}; yours is {described(first)}")
        return self._not_yet(f"{differences(given, truths, self.parts, self.tolerance)}. Hint: {self.hint}")

    def _equal(self, given: list[Any], of: Callable[..., Any], cases: list[Case], truths: list[Any]) -> bool:
        with np.errstate(all="ignore"):
            return same(given, [numbers(of(*case)) for case in cases], truths, self.tolerance)

    def _not_yet(self, why: str) -> Told:
        return Told(False, f"not yet: {why}")
