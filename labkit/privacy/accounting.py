"""What a mechanism costs: the smallest valid epsilon over two accountants, each by its name.

The relation is add or remove one record, everywhere; n, the number of records, is public.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dp_accounting import DpEvent, NonPrivateDpEvent

from labkit.errors import BadInput
from labkit.privacy.accountants import pld_epsilon, rdp_epsilon
from labkit.privacy.events import Part, parts

PLD, RDP, NONE = "PLD", "RDP", "none"
FAILURES = (ArithmeticError, MemoryError, ValueError)  # of an accountant: then the other one's bound is the only one


@dataclass(frozen=True)
class Spent:
    """An (epsilon, delta) guarantee and whose bound it is.

    Args:
        epsilon: at least 0; infinite where something is not private.
        delta: the joint delta of all that is counted.
        accountant: "PLD", "RDP", or "none" where no accountant bounds it.
    """

    epsilon: float
    delta: float
    accountant: str


def default_delta(units: int) -> float:
    """The smaller of 1e-5 and a tenth of one over the number of protected units."""
    return min(1e-5, 1 / (10 * units))


def shared(noise_multipliers: Sequence[float]) -> float:
    """The noise multiplier of several members that share each Poisson draw: (sum of sigma_k^-2)^(-1/2).

    Their noisy sums of one draw are one Gaussian mechanism in the product space, sampled once. Counting them as
    independent draws would understate: members that share a draw take part in it together.

    Args:
        noise_multipliers: sigma of each member; 0 stands for one without noise.

    Returns:
        0 if any member has none; infinite where there is no member.
    """
    sigmas = [float(sigma) for sigma in noise_multipliers]
    if not all(sigma >= 0 for sigma in sigmas):
        raise BadInput("noise_multiplier", min(sigmas), "numbers of at least 0")
    if 0 in sigmas:
        return 0.0
    least = min(sigmas, default=math.inf)
    if math.isinf(least):
        return math.inf
    return least / math.sqrt(math.fsum((least / sigma) ** 2 for sigma in sigmas))  # sigma^-2 alone can overflow


def spent(events: DpEvent | Iterable[DpEvent], delta: float) -> Spent:
    """The smallest valid bound on the joint cost of mechanisms run on the same records, adaptively.

    Both accountants bound epsilon from above, so the smaller one holds. PLD is tight for Gaussian noise and Poisson
    samples of it, RDP for a random number of repeats (Papernot and Steinke, 2110.03620, Theorems 2 and 6); the
    exponential mechanism is epsilon-DP in the one and epsilon^2/8-zCDP in the other. Where one accountant fails, the
    answer names the other.

    Raises:
        BadInput: delta is not between 0 and 1, or neither accountant can compute a bound; both reasons are given.
    """
    if not 0 < delta < 1:
        raise BadInput("delta", delta, "a number between 0 and 1")
    return joint_cost(parts([events] if isinstance(events, DpEvent) else events), delta)


@lru_cache(maxsize=4096)
def joint_cost(counted: tuple[Part, ...], delta: float) -> Spent:
    """`spent` of events that were taken apart by `parts`."""
    if not counted:
        return Spent(0.0, delta, PLD)
    if any(isinstance(event, NonPrivateDpEvent) or _noiseless(event) for event, _ in counted):
        return Spent(math.inf, delta, NONE)
    found, reasons = [], []
    for name, bound in ((PLD, pld_epsilon), (RDP, rdp_epsilon)):
        try:
            found.append(Spent(bound(counted, delta), delta, name))
        except FAILURES as error:
            reasons.append(f"{name}: {error or type(error).__name__}")
    if not found:
        raise BadInput("accountant", f"{PLD} and {RDP}", f"more noise or fewer steps ({'; '.join(reasons)})")
    return min(found, key=lambda one: one.epsilon)


def _noiseless(event: DpEvent) -> bool:
    inner = getattr(event, "event", event)
    return getattr(inner, "noise_multiplier", 1) == 0
