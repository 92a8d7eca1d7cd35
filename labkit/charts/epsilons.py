"""The axis of epsilon: numbers on a log scale, and the two words, which have no epsilon, beyond a gap."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt

from labkit.charts.rows import values
from labkit.charts.theme import SOFT

WORDS = ("clipped", "plain")  # clipped without noise, and plain training: two different points, neither is private
NO_EPSILON = "clipped: no noise; plain: neither clipped nor noised; both without an epsilon, not private"
STEP = 0.22  # of the numbers' range, from one word to the next


def is_number(epsilon: Any) -> bool:
    """Whether a point of the grid has an epsilon."""
    return not isinstance(epsilon, str)


def ordered(epsilons: Iterable[Any]) -> list[Any]:
    """Without repeats: the numbers from small to large, then the words."""
    found = set(epsilons)
    numbers = sorted(value for value in found if is_number(value))
    return numbers + sorted(found - set(numbers), key=lambda word: (word not in WORDS, str(word)))


def called(epsilon: Any) -> str:
    """As an axis or a cell says it: 0.5, clipped."""
    return f"{epsilon:g}" if is_number(epsilon) else str(epsilon)


def in_words(epsilon: Any) -> str:
    """As a title says it: epsilon 0.5; clipped, no epsilon."""
    return f"epsilon {epsilon:g}" if is_number(epsilon) else f"{epsilon} (no epsilon)"


def few(epsilons: Iterable[Any], count: int) -> list[Any]:
    """At most `count` of the numbers, evenly spread from the smallest to the largest."""
    numbers = [value for value in ordered(epsilons) if is_number(value)]
    if len(numbers) <= count or count < 2:
        return numbers[:count]
    return [numbers[round(i * (len(numbers) - 1) / (count - 1))] for i in range(count)]


@dataclass(frozen=True)
class Places:
    """Where each epsilon stands on the axis.

    Args:
        at: the place of each, in the axis's own unit (log2 of a number).
        step: from one word to the next; what stands side by side at one epsilon spreads over less.
        gap: where the numbers end; None without a word.
    """

    at: dict[Any, float]
    step: float
    gap: float | None

    @classmethod
    def of(cls, epsilons: Iterable[Any]) -> Places:
        """The places of these values."""
        found = ordered(epsilons)
        numbers = [math.log2(value) for value in found if is_number(value)]
        spoken = [value for value in found if not is_number(value)]
        low, high = (numbers[0], numbers[-1]) if numbers else (0.0, 0.0)
        step = STEP * max(high - low, 2.0)
        at = {value: math.log2(value) for value in found if is_number(value)}
        at |= {word: high + step * (i + 1) for i, word in enumerate(spoken)}
        return cls(at, step, (high + 0.5 * step if numbers else None) if spoken else None)

    @property
    def domain(self) -> list[float]:
        places = list(self.at.values()) or [0.0]
        return [min(places) - 0.3 * self.step, max(places) + 0.5 * self.step]

    def x(self, field: str = "at", title: str | None = "epsilon (log scale)") -> alt.X:
        """The axis, for a field that holds places; a tick at every value."""
        said = "".join(f"abs(datum.value - {at!r}) < 1e-6 ? '{called(value)}' : " for value, at in self.at.items())
        axis = alt.Axis(values=list(self.at.values()), labelExpr=said + "''", labelOverlap=True, grid=False)
        return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=self.domain, nice=False), axis=axis)

    def words_zone(self, text: str = "not private") -> list[alt.Chart]:
        """Layers to lie under the marks: a tint where the words stand, and above it what it means."""
        if all(is_number(value) for value in self.at):
            return []
        begin, end = self.domain if self.gap is None else (self.gap, self.domain[1])
        row = values([{"from": begin, "to": end, "middle": (begin + end) / 2, "text": text}])
        tint = alt.Chart(row).mark_rect(color="#000000", opacity=0.045)
        said = alt.Chart(row).mark_text(fontSize=11, fontStyle="italic", color=SOFT, baseline="bottom")
        return [
            tint.encode(x=self.x("from"), x2="to:Q"),
            said.encode(x=self.x("middle"), y=alt.value(-5), text="text:N"),
        ]
