"""Steps to a threshold that some runs never reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def restricted_mean(steps: ArrayLike, censored: ArrayLike, horizon: float) -> float:
    """The mean number of steps to the threshold, of the first `horizon` steps.

    A run that has not arrived by the horizon counts as the horizon itself. Dropping it, or the mean of those that did
    arrive, would make the slower arm look faster. This is the area under the Kaplan-Meier curve up to the horizon.

    Args:
        steps: [n], steps at which each run reached the threshold, or at which it ended without.
        censored: [n], whether it ended without.
        horizon: the number of steps that every run was given.

    Raises:
        ValueError: no run, different lengths, or a run that ended before the horizon without reaching the threshold.
    """
    taken, ended = np.asarray(steps, dtype=np.float64), np.asarray(censored, dtype=bool)
    if taken.ndim != 1 or taken.shape != ended.shape or len(taken) == 0:
        raise ValueError(f"steps {taken.shape} and censored {ended.shape} are one value a run")
    if not ((taken >= 0).all() and np.isfinite(taken).all() and 0 < horizon < np.inf):
        raise ValueError("steps and horizon are finite and not negative")
    if (ended & (taken < horizon)).any():
        raise ValueError(f"a run that was watched for less than the horizon of {horizon:g} steps cannot be counted")
    return float(np.minimum(taken, horizon).mean())
