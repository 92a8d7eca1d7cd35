"""How much noise an epsilon needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from labkit.errors import BadInput
from labkit.privacy.accountants import rdp_epsilon
from labkit.privacy.accounting import FAILURES, Spent, joint_cost
from labkit.privacy.events import Part, dp_sgd, parts

PRECISION = 1e-3  # relative: the plan spends at least this share less one of what it may
LARGEST = 1e9  # noise multiplier


@lru_cache(maxsize=4096)
def noise_for(
    epsilon: float, delta: float, sample_rate: float, steps: int, also: tuple[Part, ...] = ()
) -> tuple[float, Spent]:
    """The noise multiplier with which DP-SGD and `also` together cost at most epsilon, and what they do cost.

    The cost lies between (1 - 1e-3) epsilon and epsilon, unless the accountants' grids jump over that band; then below.
    RDP is the guess, because it answers in milliseconds; a few evaluations of the smallest bound are left.

    Raises:
        BadInput: `also` alone costs epsilon, or no noise up to 1e9 is enough.
    """
    if also and (fixed := joint_cost(also, delta)).epsilon >= epsilon:
        raise BadInput("epsilon", epsilon, f"above {fixed.epsilon:.4g}, the cost of the plan's other mechanisms")

    def counted(sigma: float) -> tuple[Part, ...]:
        return parts([dp_sgd(sample_rate, sigma, steps)]) + also

    def cost(sigma: float) -> float:
        return joint_cost(counted(sigma), delta).epsilon

    def guessed(sigma: float) -> float:
        try:
            return rdp_epsilon(counted(sigma), delta)
        except FAILURES:
            return math.inf if sigma < 1 else 0.0  # overflow, or no Renyi divergence left: only the guess suffers

    guess = least_noise(guessed, epsilon, 1.0, precision=0.05)
    sigma = least_noise(cost, epsilon, guess, precision=PRECISION)
    return sigma, joint_cost(counted(sigma), delta)


def least_noise(cost: Callable[[float], float], target: float, start: float, precision: float) -> float:
    """A noise multiplier whose cost is at most target and, if any is, above (1 - precision) target.

    The cost falls with the noise, nearly as a power of it: false position in logarithms, which keeps the root between a
    noise that is too small and one that is enough.
    """
    aim = target * (1 - precision / 4)
    little = enough = None  # (log sigma, log of cost / aim): cost above target, cost at most target
    at, step = math.log(start), 0.25
    for turn in range(200):
        spent = cost(math.exp(at))
        gap = math.log(max(spent, 1e-300) / aim) if spent < math.inf else math.inf
        if target * (1 - precision) <= spent <= target:
            return math.exp(at)
        if spent > target:
            little = (at, gap)
        else:
            enough = (at, gap)
        if little is None or enough is None:
            at += step if enough is None else -step
            step *= 1.6
            if at > math.log(LARGEST):
                break
            continue
        (a, up), (b, down) = little, enough
        if b - a < 1e-9:
            return math.exp(b)
        share = up / (up - down) if turn % 4 != 3 and math.isfinite(up) and down > -50 else 0.5
        at = a + min(max(share, 0.01), 0.99) * (b - a)
    if enough is None:
        raise BadInput("epsilon", target, f"what a noise multiplier of up to {LARGEST:g} reaches by PLD or RDP")
    return math.exp(enough[0])
