"""Does a score foretell the outcome? Spearman's rho within each parent, averaged over parents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labkit.stats.intervals import mean_interval

PARENTS = 10  # fewest for an interval
CANDIDATES = 5  # fewest for a rho


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho over parents.

    Args:
        rho: of each parent; None where all candidates of that parent are equal, which have no order.
        mean: over the parents that have one, through Fisher's z; None where none has.
        low, high: the 95 % t interval of that mean over parents; None where there is none.
        reason: why there is no interval; empty where there is one.
    """

    rho: tuple[float | None, ...]
    mean: float | None
    low: float | None
    high: float | None
    reason: str


def rank_correlation(parents: Sequence[tuple[ArrayLike, ArrayLike]]) -> Correlation:
    """Spearman's rho of two numbers of each candidate, parent by parent.

    Candidates of one parent share neurons, so they are not independent and are never pooled over parents: the parent is
    the unit, and an interval needs ten of them.

    Args:
        parents: for each parent (seed), the two arrays [candidates]: initial loss and final accuracy.

    Raises:
        ValueError: arrays of different lengths, fewer than 5 candidates, or numbers that are not finite.
    """
    measured = [_spearman(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)) for x, y in parents]
    z = [_fisher(rho, len(x)) for rho, (x, _) in zip(measured, parents, strict=True) if rho is not None]
    mean = math.tanh(sum(z) / len(z)) if z else None
    if len(z) < PARENTS:
        equal = len(measured) - len(z)
        without = f" ({equal} more have candidates that are all equal)" if equal else ""
        reason = f"an interval needs {PARENTS} parents, there {'is' if len(z) == 1 else 'are'} {len(z)}{without}"
        return Correlation(tuple(measured), mean, None, None, reason)
    low, high = (math.tanh(end) for end in mean_interval(z))
    return Correlation(tuple(measured), mean, low, high, "")


def reliability(parents: Sequence[tuple[ArrayLike, ArrayLike]]) -> Correlation:
    """How far final accuracy repeats itself: its rho with the same candidates trained again in another data order.

    Args:
        parents: for each parent, the first and second accuracies [candidates].
    """
    return rank_correlation(parents)


def ceiling(repeated: Correlation) -> float | None:
    """The largest rho that any score can be expected to reach, from `reliability`: its square root (Spearman 1904).

    With a ceiling near 0 a rho near 0 says nothing about the score, only that training is noise.
    """
    return None if repeated.mean is None else math.sqrt(max(repeated.mean, 0.0))


def _spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    if x.ndim != 1 or x.shape != y.shape or len(x) < CANDIDATES:
        raise ValueError(f"rho needs two arrays of one length of at least {CANDIDATES}, not {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("rho needs finite numbers")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.clip(np.corrcoef(_ranks(x), _ranks(y))[0, 1], -1, 1))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[inverse]


def _fisher(rho: float, candidates: int) -> float:
    # A perfect order has an infinite z; it counts as one swap of neighbours short of perfect.
    most = 1 - 12 / (candidates * (candidates**2 - 1))
    return math.atanh(min(most, max(-most, rho)))
