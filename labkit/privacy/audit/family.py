"""Lower bounds on the epsilon of DP-SGD from its own trade-off curve.

A Gaussian's curve does not fit subsampled training: a canary that is in few batches hides, and is plain to see in the
rest. So the audit asks which noise multipliers, at the plan's sample rate and steps, could have let the guesses be as
good as they certainly were. The largest epsilon that could not is the bound.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from dp_accounting.pld import privacy_loss_distribution

from labkit.errors import BadInput
from labkit.privacy.accounting import spent
from labkit.privacy.audit.bounds import Counts, certain_rates
from labkit.privacy.events import dp_sgd

# Where the curve is touched: a rate bounded by 1 / 100,000 runs says nothing beyond epsilon 12.
EPSILONS = np.concatenate([np.linspace(0, 2, 81), np.linspace(2, 12, 101)[1:]])
WIDEST = 5e-3  # step of the privacy loss grid
RELATIVE = 0.004  # of the noise multiplier
FACTOR = 64.0  # the noise is looked for within this factor of the plan's


def refutes(rates: tuple[float, float], deltas: np.ndarray, epsilons: np.ndarray = EPSILONS) -> bool:
    """Whether guesses at these rates contradict a mechanism that is (epsilon, delta(epsilon))-private for all epsilon.

    Args:
        rates: a lower bound of TPR and an upper bound of FPR.
        deltas, epsilons: the mechanism's curve. Any finite number of its points gives valid limits; more give
            tighter ones.
    """
    low, high = rates
    reached = np.min(np.exp(epsilons) * high + deltas)  # TPR <= e^epsilon FPR + delta
    missed = np.min(np.exp(epsilons) * (1 - low) + deltas)  # 1 - FPR <= e^epsilon (1 - TPR) + delta
    return bool(low > reached or 1 - high > missed)


def claim_refuted(
    counts: Counts, *, sample_rate: float, steps: int, noise_multiplier: float, confidence: float
) -> bool:
    """Whether the counts refute DP-SGD with this very noise: true for a correct mechanism with probability at most
    1 - confidence. `family_lower` then is at least what this noise costs."""
    return refutes(certain_rates(counts, confidence), curve(noise_multiplier, sample_rate, steps))


def family_lower(
    counts: Counts, *, sample_rate: float, steps: int, noise_multiplier: float, delta: float, confidence: float
) -> float:
    """The largest epsilon of DP-SGD at this sample rate and number of steps that the counts refute.

    It exceeds the epsilon of a correct mechanism with probability at most 1 - confidence.

    Args:
        counts: of guesses at one threshold that was fixed beforehand.
        noise_multiplier: the plan's, from which the search starts. The bound does not depend on it, unless the noise
            differs from it by more than a factor of 64.
        delta: of the epsilon that is returned.

    Returns:
        epsilon of the least noise multiplier that is refuted with all larger ones; 0 where none is.
    """
    return rates_lower(certain_rates(counts, confidence), sample_rate, steps, noise_multiplier, delta)


def rates_lower(
    rates: tuple[float, float], sample_rate: float, steps: int, noise_multiplier: float, delta: float
) -> float:
    """As `family_lower`, from the rates themselves."""
    if not 0 < noise_multiplier < np.inf:
        raise BadInput(
            "noise_multiplier", noise_multiplier, "above 0 and finite: training without noise has no epsilon"
        )
    if rates[0] <= rates[1]:
        return 0.0

    def refuted(sigma: float) -> bool:
        return refutes(rates, curve(sigma, sample_rate, steps))

    # More noise is refuted first: [small, large] comes to hold a possible and a refuted noise.
    small = large = noise_multiplier
    if refuted(large):
        while refuted(small := large / 2):
            large = small
            if large < noise_multiplier / FACTOR:
                return _epsilon(large, sample_rate, steps, delta)
    else:
        while not refuted(large := small * 2):
            small = large
            if small > noise_multiplier * FACTOR:
                return 0.0
    while large > small * (1 + RELATIVE):
        middle = (small * large) ** 0.5
        small, large = (small, middle) if refuted(middle) else (middle, large)
    return _epsilon(large, sample_rate, steps, delta)


@lru_cache(maxsize=512)
def curve(noise_multiplier: float, sample_rate: float, steps: int) -> np.ndarray:
    """delta at each of `EPSILONS`, rounded up, which can only weaken a bound."""
    one = sample_rate * math.sqrt(math.expm1(min(noise_multiplier**-2, 9.0)))  # a step's privacy loss, about
    loss = privacy_loss_distribution.from_gaussian_mechanism(
        noise_multiplier, sampling_prob=sample_rate, value_discretization_interval=min(0.02 * one, WIDEST)
    ).self_compose(steps)
    deltas = np.asarray(loss.get_delta_for_epsilon(EPSILONS), dtype=np.float64)
    deltas.setflags(write=False)
    return deltas


def _epsilon(noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    # By the accountants that gave the plan its epsilon, so that upper and lower bound lie on one axis.
    return spent(dp_sgd(sample_rate, noise_multiplier, steps), delta).epsilon
