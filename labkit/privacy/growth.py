"""How epsilon grows with the steps of a training, for a live gauge."""

from __future__ import annotations

import math
from functools import lru_cache

from labkit.privacy.accountants import grid, pld_epsilon
from labkit.privacy.accounting import FAILURES, PLD, Spent, joint_cost
from labkit.privacy.events import Part, dp_sgd, in_pld, parts


@lru_cache(maxsize=256)
def growth(
    sample_rate: float, noise_multiplier: float, steps: int, also: tuple[Part, ...], whole: Spent, points: int
) -> tuple[tuple[int, float], ...]:
    """(steps done, epsilon) from (0, the cost of `also`) to (steps, whole.epsilon), both rising.

    Where PLD bounds the whole, all points lie on the grid of the whole, so that a step's privacy loss is computed once;
    a little above `joint_cost` where epsilon is still small.
    """
    whole_training = parts([dp_sgd(sample_rate, noise_multiplier, steps)])
    interval = grid(tuple(part for part in whole_training + also if in_pld(part[0])), whole.delta)

    def bound(counted: tuple[Part, ...]) -> float:
        if whole.accountant == PLD and counted:
            try:
                return pld_epsilon(counted, whole.delta, interval)
            except FAILURES:
                pass  # the other accountant bounds it, below
        return joint_cost(counted, whole.delta).epsilon

    pairs, highest = [], 0.0
    for count in sorted({0, *(math.ceil(steps * (i / points) ** 2) for i in range(1, points))} - {steps}):
        # The cost never falls, so where rounding says it does, the earlier and higher bound stands for both.
        highest = max(highest, bound(parts([dp_sgd(sample_rate, noise_multiplier, count)]) + also))
        pairs.append((count, min(highest, whole.epsilon)))
    return (*pairs, (steps, whole.epsilon))
