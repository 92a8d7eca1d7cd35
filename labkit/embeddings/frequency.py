"""Which rows DP-FEST keeps: the most frequent of each column, counted on public data or on private data at a price.

Rows are joint: those of column t come after all rows of the columns before it. One unit is one row of `ids`; where a
person has several examples, the caller puts at most so many of them side by side. A unit counts once for each row it
touches, however often it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dp_accounting import DpEvent, GaussianDpEvent, SelfComposedDpEvent

from labkit.errors import BadInput
from labkit.privacy.accounting import spent
from labkit.privacy.calibration import least_noise
from labkit.privacy.events import ExponentialMechanismDpEvent

PRECISION = 1e-3  # relative, of a share of epsilon


@dataclass(frozen=True)
class Charged:
    """Rows to keep, and what it costs to know them.

    Args:
        rows: int64, sorted joint rows, each once.
        events: charged to the units that were counted; none for public data.
    """

    rows: np.ndarray
    events: tuple[DpEvent, ...]


def counts(ids: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """How many units touch each row, int64 [D].

    Args:
        ids: int64 [units, places] of joint rows; -1 in an empty place.
        sizes: of the columns; D is their sum.
    """
    first = _first(ids)
    return np.bincount(ids[first], minlength=sum(sizes)).astype(np.int64, copy=False)


def clipped_counts(ids: np.ndarray, sizes: Sequence[int], distinct: int) -> np.ndarray:
    """The same with each unit's part clipped to the L2 norm sqrt(distinct), float64 [D].

    Args:
        distinct: rows for which a unit counts in full, public; one that touches m > distinct rows adds
            sqrt(distinct / m) to each.
    """
    if distinct < 1:
        raise BadInput("distinct", distinct, "at least 1")
    first = _first(ids)
    weight = np.minimum(1.0, np.sqrt(distinct / np.maximum(first.sum(1), 1)))
    return np.bincount(ids[first], np.broadcast_to(weight[:, None], ids.shape)[first], minlength=sum(sizes))


def top_rows(scores: np.ndarray, sizes: Sequence[int], k: int) -> np.ndarray:
    """The k rows with the largest scores of each column, all rows of a column of at most k: sorted joint rows, int64.

    Of equal scores the smaller row number wins. Linear in the number of rows.

    Raises:
        BadInput: k is below 1 or above the largest column.
    """
    _check_k(sizes, k)
    kept, start = [], 0
    for size in sizes:
        kept.append(start + _best(scores[start : start + size], k))
        start += size
    return np.concatenate(kept)


def public(ids: np.ndarray, sizes: Sequence[int], k: int) -> Charged:
    """The k most frequent rows of each column among units that are not protected: no event."""
    return Charged(top_rows(counts(ids, sizes), sizes, k), ())


def histogram(
    ids: np.ndarray, sizes: Sequence[int], k: int, noise_multiplier: float, key: int, distinct: int | None = None
) -> Charged:
    """The k most frequent rows of each column by a Gaussian histogram of all columns together: one Gaussian event.

    One unit moves the counts by at most sqrt(distinct) in L2 norm (`clipped_counts`), and their noise has the standard
    deviation noise_multiplier sqrt(distinct). It costs the same for every k.

    Args:
        key: of the noise, from `labkit.privacy.noise.noise_key`, for this purpose alone.
        distinct: as for `clipped_counts`; None for all places of `ids`, with which nothing is clipped.
    """
    _check_k(sizes, k)
    if not 0 < noise_multiplier < math.inf:
        raise BadInput("noise_multiplier", noise_multiplier, "a finite number above 0")
    distinct = ids.shape[1] if distinct is None else distinct
    scores = clipped_counts(ids, sizes, distinct)
    scores += noise_multiplier * math.sqrt(distinct) * _random(key).standard_normal(len(scores))
    return Charged(top_rows(scores, sizes, k), (GaussianDpEvent(noise_multiplier),))


def gumbel(ids: np.ndarray, sizes: Sequence[int], k: int, epsilon0: float, key: int) -> Charged:
    """The k most frequent rows of each column by one-shot Gumbel top-k (Durfee and Rogers 2019).

    The k largest counts with Gumbel noise of scale 1 / epsilon0 are distributed as k exponential mechanisms one after
    the other, each without the rows taken before. A unit moves each count by at most 1, all of them upwards, so that
    each choice is epsilon0-DP and epsilon0^2/8-zCDP, however many rows the unit touches.

    Args:
        key: of the noise, from `labkit.privacy.noise.noise_key`, for this purpose alone.

    Returns:
        its event is `choices(sizes, k)` exponential mechanisms; a column of at most k rows is kept whole, for nothing.
    """
    _check_k(sizes, k)
    if not 0 < epsilon0 < math.inf:
        raise BadInput("epsilon0", epsilon0, "a finite number above 0")
    scores = counts(ids, sizes) + _random(key).gumbel(size=sum(sizes)) / epsilon0
    return Charged(top_rows(scores, sizes, k), choice_events(sizes, k, epsilon0))


def choices(sizes: Sequence[int], k: int) -> int:
    """How many exponential mechanisms `gumbel` amounts to: k for each column that has more than k rows."""
    return k * sum(size > k for size in sizes)


def choice_events(sizes: Sequence[int], k: int, epsilon0: float) -> tuple[DpEvent, ...]:
    """The events of `gumbel`."""
    number = choices(sizes, k)
    return (SelfComposedDpEvent(ExponentialMechanismDpEvent(epsilon0), number),) if number else ()


def noise_for_share(epsilon: float, delta: float, share: float) -> float:
    """The noise multiplier with which `histogram` alone costs share * epsilon at this delta."""
    target = _target(epsilon, share)
    return least_noise(lambda sigma: spent(GaussianDpEvent(sigma), delta).epsilon, target, 1.0, PRECISION)


def epsilon0_for_share(epsilon: float, delta: float, share: float, choices: int) -> float:
    """The epsilon0 with which `gumbel` of so many choices alone costs share * epsilon at this delta.

    Raises:
        BadInput: there is nothing to choose, so that nothing can be charged for it.
    """
    if choices < 1:
        raise BadInput("k", "every row", "below the largest vocabulary: keeping every row needs no counting")
    target = _target(epsilon, share)

    def cost(noise: float) -> float:
        return spent(SelfComposedDpEvent(ExponentialMechanismDpEvent(1 / noise), choices), delta).epsilon

    return 1 / least_noise(cost, target, 1.0, PRECISION)


def _first(ids: np.ndarray) -> np.ndarray:
    """Where a unit touches a row for the first time, bool [units, places]."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = ordered >= 0
    new[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    if len(scores) <= k:
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    return np.sort(np.concatenate([above, equal[: k - len(above)]]))


def _random(key: int) -> np.random.Generator:
    # A counter-based generator takes all bits of the key; PyTorch's keeps 32, which the many rows kept could betray.
    return np.random.Generator(np.random.Philox(key=key))


def _target(epsilon: float, share: float) -> float:
    if not 0 < share < 1:
        raise BadInput("share", share, "above 0 and below 1: training needs the rest")
    return epsilon * share


def _check_k(sizes: Sequence[int], k: int) -> None:
    if not 1 <= k <= max(sizes):
        raise BadInput("k", k, f"1 to {max(sizes):,}, the largest vocabulary")
