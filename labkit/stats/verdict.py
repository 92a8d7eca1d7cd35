"""The verdict on a paired difference against a margin that was fixed before the run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labkit.stats.intervals import paired_interval, paired_p_value

FEWEST = 5  # pairs for a verdict
LOOKS = (5, 10, 20, 40)  # numbers of seeds at which a growing run may be judged
ALPHA = 0.05

BETTER, WORSE = "better", "worse"
SLIGHTLY_BETTER, SLIGHTLY_WORSE = "better by less than m", "worse by less than m"
NO_DIFFERENCE, UNDECIDED = "no difference", "undecided"


@dataclass(frozen=True)
class Verdict:
    """What the pairs say.

    Args:
        word: "better", "worse", "no difference", "better by less than m", "worse by less than m" or "undecided".
        mean: the mean difference; None without any pair.
        low, high: the t interval of the mean at `level`; None with fewer than two pairs.
        n: the number of pairs.
        p_value: of no difference at all, two-sided, Holm-adjusted within a family; None with fewer than two pairs.
        margin: the largest difference that would not matter, m.
        level: of the interval, 0.95, or more where several looks share the error.
        text: the verdict in one line, with its numbers.
    """

    word: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    p_value: float | None
    margin: float
    level: float
    text: str


def verdict(
    differences: ArrayLike,
    margin: float,
    *,
    looks: int = 1,
    higher_is_better: bool = True,
    adjusted_p: float | None = None,
) -> Verdict:
    """Judge one arm against another.

    The first that holds, with alpha = 0.05 / looks:
    1. the 1 - 2 alpha interval lies inside -m to m (two one-sided tests): "no difference", or, if the p-value of no
       difference at all is at most alpha, "better" or "worse by less than m";
    2. that p-value is at most alpha, so that the 1 - alpha interval lies beyond 0: "better" or "worse";
    3. "undecided".
    Fewer than 5 pairs are undecided. At a true difference of 0 and a standard deviation of m, 1. holds in about
    29, 79 and 99 % of runs of 5, 10 and 20 seeds: small runs are often undecided, and say so.

    Args:
        differences: [n], this arm minus the other, one for each seed.
        margin: m, in the unit of the differences, fixed before the run: 0.01 for accuracy.
        looks: 1 if the number of seeds was fixed before the run; 4 if seeds were added after a look at the results:
            then only 5, 10, 20 and 40 seeds are judged, each at a quarter of the error.
        higher_is_better: whether a positive difference is an improvement.
        adjusted_p: the p-value within a family of tests, in place of this test's own.

    Raises:
        ValueError: a margin that is negative or not finite, looks other than 1 and 4, differences that are not finite.
    """
    if not 0 <= margin < np.inf:
        raise ValueError(f"margin {margin} is not a finite number of at least 0")
    if looks not in (1, len(LOOKS)):
        raise ValueError(f"looks {looks}: either 1, or {len(LOOKS)} for looks at {LOOKS} seeds")
    array = np.asarray(differences, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("differences are finite numbers on one axis")

    n, alpha = len(array), ALPHA / looks
    mean = float(array.mean()) if n else None
    low, high = paired_interval(array, 1 - alpha) if n > 1 else (None, None)
    p_value = None if n < 2 else paired_p_value(array) if adjusted_p is None else adjusted_p

    def made(word: str, why: str) -> Verdict:
        text = f"{word.replace('than m', f'than {margin:g}')}: {why}"
        return Verdict(word, mean, low, high, n, p_value, margin, 1 - alpha, text)

    if n < FEWEST:
        return made(UNDECIDED, f"a verdict needs {FEWEST} paired seeds, there {'is' if n == 1 else 'are'} {n}")
    if looks > 1 and n not in LOOKS:
        return made(UNDECIDED, f"seeds were added after a look, so only {LOOKS} seeds are judged, not {n}")

    words = (WORSE, BETTER, SLIGHTLY_WORSE, SLIGHTLY_BETTER)
    improved = (mean > 0) == higher_is_better
    differs = p_value <= alpha
    tost_low, tost_high = paired_interval(array, 1 - 2 * alpha)
    if -margin < tost_low and tost_high < margin:
        inside = f"{_interval(mean, tost_low, tost_high, 1 - 2 * alpha, n)} inside +-{margin:g}"
        return made(words[2 + improved] if differs else NO_DIFFERENCE, inside)
    numbers = f"{_interval(mean, low, high, 1 - alpha, n)}, p {p_value:.2g}{'' if adjusted_p is None else ' (Holm)'}"
    return made(words[improved] if differs else UNDECIDED, numbers)


def _interval(mean: float, low: float, high: float, level: float, n: int) -> str:
    return f"{mean:+.3g}, {100 * level:g} % interval {low:+.3g} to {high:+.3g}, {n} seeds"
