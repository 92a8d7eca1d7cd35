"""Rows that nobody touched and that the noise alone lifts above the threshold, found without a number for each row."""

from __future__ import annotations

import math

import numpy as np

AT_ONCE = 1 << 16  # gaps drawn at once


def false_survivors(rows: int, chance: float, generator: np.random.Generator) -> np.ndarray:
    """The rows, int64 and rising, for which a coin with this chance shows heads.

    Heads stand at geometric distances, so only they cost time: their number is Binomial(rows, chance), and given their
    number every set of places is equally likely, as if each row had had its own noise and been compared. Coins of
    touched rows are thrown too and not used by the caller, because a touched row is compared itself.

    Args:
        rows: D.
        chance: Q(threshold) in float64; 0 gives none and 1 all.
    """
    if chance <= 0 or rows == 0:
        return np.empty(0, dtype=np.int64)
    if chance >= 1:
        return np.arange(rows)
    found, at = [], -1
    while at < rows:
        expected = (rows - at) * chance
        size = min(AT_ONCE, 16 + math.ceil(expected + 6 * math.sqrt(expected)))
        gaps = np.minimum(generator.geometric(chance, size), rows + 1)  # what lies beyond the end could overflow
        found.append(at + np.cumsum(gaps))
        at = int(found[-1][-1])
    heads = np.concatenate(found)
    return heads[: np.searchsorted(heads, rows)]
