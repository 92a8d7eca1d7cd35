"""What a tuning tried, and what it chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labkit.experiments.frontier.arms import Arm
from labkit.runs.events import Point

LOWEST, HIGHEST = 0.06, 8.0  # ends of the first grid of learning rates
STEP = 3  # values that a widening adds at an end


class Tuned:
    """The learning rates tried and chosen.

    Args:
        rates, accuracy: for each arm the rates tried, ascending, and the mean selection accuracy of each.
        rounds: how often each arm's grid was widened.
        variants: for each arm as `Arm.tuned_as` names it, the same arm at each clip norm tried, ascending.
        first: the rates that every arm was tried with.
    """

    def __init__(self, first: Sequence[float]) -> None:
        self.first = tuple(first)
        self.rates: dict[Arm, list[float]] = {}
        self.accuracy: dict[Arm, list[float]] = {}
        self.rounds: dict[Arm, int] = {}
        self.variants: dict[Arm, list[Arm]] = {}

    def choice(self, arm: Arm) -> Arm:
        """The arm at the clip norm that reached most."""
        variants = self.variants[arm]
        return variants[highest([max(self.accuracy[variant]) for variant in variants])]

    def tried(self, arm: Arm) -> int:
        """Pairs of a learning rate and a clip norm that were tried for an arm."""
        return sum(len(self.rates[variant]) for variant in self.variants[arm])

    def best(self, arm: Arm) -> float:
        """The rate with the highest accuracy, of equals the lowest that is not at an end."""
        return self.rates[arm][self.place(arm)]

    def place(self, arm: Arm) -> int:
        """Where the best rate stands among those tried."""
        return highest(self.accuracy[arm])

    def add(self, arm: Arm, rates: Sequence[float], accuracy: Sequence[float]) -> None:
        """Rates tried anew."""
        pairs = sorted([*zip(self.rates.get(arm, []), self.accuracy.get(arm, []), strict=True),
                        *zip(rates, accuracy, strict=True)])  # fmt: skip
        self.rates[arm], self.accuracy[arm] = [list(part) for part in zip(*pairs, strict=True)]

    def points(self, arm: Arm) -> list[Point]:
        """One row for each rate tried."""
        return [
            Point(
                "tuning",
                {
                    "arm": arm.name, "learning_rate": rate, "selection_accuracy": accuracy,
                    "chosen": i == self.place(arm), "round": int(rate not in self.first), "widened": self.rounds[arm],
                    "clip_norm": _finite(arm.plan.clip_norm),
                    "tuned_sparsity": arm.sparsity, "tuned_space": arm.space or "none",
                },
            )
            for i, (rate, accuracy) in enumerate(zip(self.rates[arm], self.accuracy[arm], strict=True))
        ]  # fmt: skip


def highest(accuracy: Sequence[float]) -> int:
    """The place of the highest accuracy, inside of the grid if it shares its rank with one there: below some rate
    nothing moves and all rates are equal, however far one looks."""
    best = np.flatnonzero(np.equal(accuracy, max(accuracy)))
    inside = best[(best > 0) & (best < len(accuracy) - 1)]
    return int((inside if len(inside) else best)[0])


def _finite(clip_norm: float) -> float | str:
    return clip_norm if clip_norm < float("inf") else "none"


def first_grid(rates: int) -> list[float]:
    """Evenly spaced on a log scale, rounded to three digits that are read aloud."""
    return [float(f"{rate:.3g}") for rate in np.geomspace(LOWEST, HIGHEST, rates)]


def beyond(rates: Sequence[float], place: int) -> list[float]:
    """Rates to try next: none where the best has neighbours on both sides, else the next ones beyond its end."""
    if 0 < place < len(rates) - 1:
        return []
    ratio = rates[1] / rates[0] if place == 0 else rates[-1] / rates[-2]
    end, direction = (rates[0], -1) if place == 0 else (rates[-1], 1)
    return sorted(float(f"{end * ratio ** (direction * (i + 1)):.3g}") for i in range(STEP))
