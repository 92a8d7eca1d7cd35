"""Student's t for few seeds.

The percentile bootstrap is not used: with 3, 5 and 10 normal values its 95 % interval covers the mean 76, 84 and 89 %
of the time, Student's 95 % at every size (`tests/stats/test_intervals.py` simulates both).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The t interval of the mean of independent values, one for each seed.

    Args:
        values: [n], at least two, in any unit.
        level: the share of such intervals that cover the true mean, between 0 and 1.

    Returns:
        low and high, in the unit of the values; both are the mean where all values are equal.

    Raises:
        ValueError: fewer than two values, one that is not finite, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    mean, error, n = _summary(values)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * error
    return mean - half, mean + half


def paired_interval(differences: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The paired t interval: `mean_interval` of one difference for each seed.

    Both arms of a pair share split, initialisation and data order, so that the difference is the arms' alone.
    """
    return mean_interval(differences, level)


def paired_p_value(differences: ArrayLike) -> float:
    """The two-sided p-value of the paired t test of a mean difference of 0.

    Returns:
        0 to 1; where all differences are equal, 1 if they are 0 and 0 if not.
    """
    mean, error, n = _summary(differences)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * special.stdtr(n - 1, -abs(mean) / error))


def sampling_error(accuracy: float, examples: int) -> float:
    """The standard error of an accuracy that comes from the finite test set alone: 0.009 at 0.85 of 1,500 images.

    An interval over seeds with one fixed test set does not contain it.
    """
    if not 0 <= accuracy <= 1 or examples < 1:
        raise ValueError(f"accuracy {accuracy} of {examples} examples")
    return math.sqrt(accuracy * (1 - accuracy) / examples)


def _summary(values: ArrayLike) -> tuple[float, float, int]:
    """Mean, its standard error, and how many values there are."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"an interval needs at least two values on one axis, not shape {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError("an interval needs finite values")
    if (array == array[0]).all():  # the mean of equal values can differ from them in the last digit
        return float(array[0]), 0.0, len(array)
    return float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(array)), len(array)
