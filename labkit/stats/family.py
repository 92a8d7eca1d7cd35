"""Several verdicts declared together: every chart of many cells is one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from labkit.stats.intervals import paired_p_value
from labkit.stats.verdict import FEWEST, Verdict, verdict


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979), in the order given.

    Refusing to believe "no difference" where the adjusted value is at most alpha is wrong about any of them with a
    probability of at most alpha, however the tests depend on each other.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("p-values lie between 0 and 1")
    order = np.argsort(values, kind="stable")
    stepped = np.minimum(1.0, values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted.tolist()


def judge_family(
    differences: Mapping[str, ArrayLike], margin: float, looks: int = 1, *, higher_is_better: bool = True
) -> dict[str, Verdict]:
    """One verdict for each member, with Holm's adjustment of the tests of "no difference at all".

    A declared member with too few pairs counts as a test with p = 1, so that a cell that is filled in later can only
    strengthen the others' verdicts. "No difference" is not adjusted: each such verdict stands with its own 5 % error.

    Args:
        differences: the paired differences [n] of each declared member; empty where there is none yet.
        margin, looks, higher_is_better: as in `verdict`.
    """
    own = [paired_p_value(values) if len(values) >= FEWEST else 1.0 for values in differences.values()]
    return {
        name: verdict(values, margin, looks=looks, higher_is_better=higher_is_better, adjusted_p=adjusted)
        for (name, values), adjusted in zip(differences.items(), holm(own), strict=True)
    }
