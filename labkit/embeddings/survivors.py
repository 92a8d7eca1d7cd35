"""How many untouched rows a noisy threshold lets through: the tail, its expectation, and a buffer that holds them.

A row that nobody in the batch touched carries nothing but the selection noise, so it survives with probability
Q(threshold), each row by itself: their number is binomial. All of it is float64, since Q at 6 standard deviations of
10^8 rows is a difference between numbers that float32 cannot tell apart.
"""

from __future__ import annotations

import math

from scipy.special import ndtr
from scipy.stats import binom

from labkit.errors import BadInput

CHANCE = 1e-20  # that a padded buffer is too small: then another pass is due, which costs time and nothing else
NOISE = 4.0  # standard deviations that noise may add to a row's lift
LARGE = 0.5  # from here on a buffer of all rows is at most twice as long as needed


def tail(threshold: float) -> float:
    """Q, the probability that a standard normal number reaches `threshold`: that of an untouched row to survive."""
    if math.isnan(threshold):
        raise BadInput("threshold", threshold, "a number of standard deviations of the selection noise")
    return float(ndtr(-threshold))


def threshold_of(tau: float, noise_multiplier: float, map_clip: float, fraction: float) -> float:
    """The paper's threshold tau on the noisy contribution map, in standard deviations of its noise.

    The map's noise has the standard deviation sigma C1 / sqrt(f) (`labkit.embeddings.convention.deviations`), so it is
    tau sqrt(f) / (sigma C1).
    """
    return tau * math.sqrt(fraction) / (noise_multiplier * map_clip)


def expected_false(rows: int, touched: float, threshold: float) -> float:
    """How many of the rows that no example of the batch touched survive, on average: (rows - touched) Q(threshold).

    Args:
        rows: D, of all tables together.
        touched: how many of them the batch touches; a mean will do.
        threshold: in standard deviations of the selection noise.
    """
    if not 0 <= touched <= rows:
        raise BadInput("touched", touched, f"0 to {rows:,}, the number of rows")
    return (rows - touched) * tail(threshold)


def padded_false(rows: int, threshold: float, chance: float = CHANCE) -> int:
    """Places of a buffer of static shape that the false survivors of `rows` rows overflow with at most `chance`.

    The smallest such number; all rows where at least half of them survive on average.
    """
    if rows < 0:
        raise BadInput("rows", rows, "at least 0")
    if not 0 < chance < 1:
        raise BadInput("chance", chance, "a number between 0 and 1")
    p = tail(threshold)
    if p == 0 or p >= LARGE:
        return rows if p else 0
    # binom.isf answers `rows` for such a chance: it rounds 1 - chance to 1. Its upper tail itself is exact.
    few, enough = -1, rows
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if binom.sf(middle, rows, p) <= chance else (middle, enough)
    return enough


def warn_survivors(rows: int, threshold: float, lift: float | None = None) -> str | None:
    """A sentence with the expected numbers where most rows survive untouched, or hardly any or none can.

    Args:
        lift: by how many standard deviations of the noise a whole batch raises a row that all of it touches; None for
            not known, when what noise alone lets through is judged instead.

    Returns:
        None for a threshold that chooses.
    """
    expected = expected_false(rows, 0, threshold)
    if expected > rows / 2:
        return (
            f"at threshold {threshold:g} noise alone lets {expected:,.0f} of {rows:,} rows through in a step on "
            "average: most rows are noised, as in DP-SGD"
        )
    if lift is not None:
        if threshold <= lift + NOISE:
            return None
        return (
            f"at threshold {threshold:g} no row survives: one that a whole batch touches is raised by {lift:.3g} "
            f"standard deviations, and of the others noise alone lets {expected:.2g} of {rows:,} through"
        )
    if expected < 0.5:
        return (
            f"at threshold {threshold:g} noise alone lets {expected:.2g} of {rows:,} rows through in a step on "
            "average: only rows that examples lift over the threshold are trained, and perhaps none"
        )
    return None
