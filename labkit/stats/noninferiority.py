"""Is one arm worse than another by less than a margin? One-sided, with the configuration picked on other data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from labkit.stats.family import holm
from labkit.stats.intervals import mean_interval, paired_p_value
from labkit.stats.verdict import ALPHA, FEWEST, LOOKS, UNDECIDED

NON_INFERIOR, NOT_SHOWN = "non-inferior", "not shown"

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class NonInferiority:
    """What the paired losses say about a margin.

    Args:
        word: "non-inferior", "not shown" (which is not "worse") or "undecided".
        mean: the mean loss; None without any pair.
        upper: the upper end of its one-sided t interval at `level`; None with fewer than two pairs.
        n: the number of pairs.
        p_value: of a mean loss of the margin or more, Holm-adjusted within a family; None with fewer than two pairs.
        margin: the loss that would matter.
        level: of the bound, 0.95, or more where several looks share the error.
        text: the verdict in one line, with its numbers.
    """

    word: str
    mean: float | None
    upper: float | None
    n: int
    p_value: float | None
    margin: float
    level: float
    text: str


def loss_bound(losses: ArrayLike, level: float = 1 - ALPHA) -> float:
    """The upper end of the one-sided t interval of a mean loss.

    Args:
        losses: [n], at least two, one for each seed: the other arm's value minus this arm's.
        level: the share of such bounds that lie above the true mean, between 0.5 and 1.

    Raises:
        ValueError: fewer than two losses, one that is not finite, or a level outside (0.5, 1).
    """
    if not 0.5 < level < 1:
        raise ValueError(f"level {level} is not between 0.5 and 1")
    return mean_interval(losses, 2 * level - 1)[1]


def loss_p_value(losses: ArrayLike, margin: float) -> float:
    """The one-sided p-value of the paired t test that the mean loss is the margin or more.

    It is at most alpha exactly where `loss_bound` at 1 - alpha is at most the margin.
    """
    above = np.asarray(losses, dtype=np.float64) - margin
    two_sided = paired_p_value(above)
    return two_sided / 2 if above.mean() < 0 else 1 - two_sided / 2


def pick(
    losses: Mapping[Name, ArrayLike], gains: Mapping[Name, float], margin: float, level: float = 1 - ALPHA
) -> Name | None:
    """The configuration that gains most among those whose loss is below the margin by its one-sided bound.

    The losses come from selection data. What is asserted of the picked configuration must come from other data, where
    picking has not flattered it.

    Args:
        losses: of each configuration, [n] over seeds; one with fewer than two cannot be picked.
        gains: of each configuration, what is to be large, such as how much smaller its gradient is.
        margin, level: of the bound.

    Returns:
        its name; of several with the same gain the one that loses least; None where none is within the margin.
    """
    within = [name for name, values in losses.items() if len(values) > 1 and loss_bound(values, level) < margin]
    return max(within, key=lambda name: (gains[name], -float(np.mean(losses[name]))), default=None)


def noninferiority(
    losses: ArrayLike, margin: float, *, looks: int = 1, adjusted_p: float | None = None
) -> NonInferiority:
    """Judge whether an arm loses less than the margin.

    Non-inferior: the p-value of a mean loss of the margin or more is at most alpha = 0.05 / looks, so that (without
    adjustment) the one-sided 1 - alpha bound is below the margin. Fewer than five pairs are undecided.

    Args:
        losses: [n], the other arm's value minus this arm's, one for each seed.
        margin: the loss that would matter, in the unit of the losses, fixed before the run.
        looks: 1, or 4 if seeds were added after a look at the results: then only 5, 10, 20 and 40 seeds are judged.
        adjusted_p: the p-value within a family of tests, in place of this test's own.

    Raises:
        ValueError: a margin that is not positive and finite, looks other than 1 and 4, losses that are not finite.
    """
    if not 0 < margin < np.inf:
        raise ValueError(f"margin {margin} is not a finite number above 0")
    if looks not in (1, len(LOOKS)):
        raise ValueError(f"looks {looks}: either 1, or {len(LOOKS)} for looks at {LOOKS} seeds")
    array = np.asarray(losses, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("losses are finite numbers on one axis")
    n, level = len(array), 1 - ALPHA / looks
    mean = float(array.mean()) if n else None
    upper = loss_bound(array, level) if n > 1 else None
    p_value = None if n < 2 else loss_p_value(array, margin) if adjusted_p is None else adjusted_p

    def made(word: str, why: str) -> NonInferiority:
        return NonInferiority(word, mean, upper, n, p_value, margin, level, f"{word}: {why}")

    if n < 2:
        return made(UNDECIDED, f"too few seeds: a bound needs 2, there {'is' if n == 1 else 'are'} {n}")
    if n < FEWEST:
        return made(UNDECIDED, f"fewer than {FEWEST} seeds")
    if looks > 1 and n not in LOOKS:
        return made(UNDECIDED, f"seeds were added after a look, so only {LOOKS} seeds are judged, not {n}")
    numbers = f"loss {mean:+.3g}, upper {100 * level:g} % bound {upper:+.3g} against {margin:g}, {n} seeds"
    numbers += f", p {p_value:.2g}{'' if adjusted_p is None else ' (Holm)'}"
    return made(NON_INFERIOR if p_value <= 1 - level else NOT_SHOWN, numbers)


def judge_losses(members: Mapping[Name, tuple[ArrayLike, float]], looks: int = 1) -> dict[Name, NonInferiority]:
    """One answer for each member of a family, with Holm's adjustment.

    A declared member with too few pairs counts as a test with p = 1, so that one that is filled in later can only
    strengthen the others.

    Args:
        members: the losses [n] of each declared member, empty where there is none yet, and its margin.
        looks: as in `noninferiority`.
    """
    own = [loss_p_value(values, margin) if len(values) >= FEWEST else 1.0 for values, margin in members.values()]
    return {
        name: noninferiority(values, margin, looks=looks, adjusted_p=adjusted)
        for (name, (values, margin)), adjusted in zip(members.items(), holm(own), strict=True)
    }
