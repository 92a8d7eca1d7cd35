"""An audit in one training run (Steinke, Nasr and Jagielski 2023, 2305.08846).

Each of m canaries joins the training set by a fair coin of its own. Afterwards the auditor guesses some of the coins:
"in" for the canaries that score highest, "out" for those that score lowest, and none for the rest. A private mechanism
lets nobody guess much better than by coin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from labkit.errors import BadInput

MOST = 60.0  # epsilon; no number of guesses that fits a computer refutes so much


def right_guesses(scores: ArrayLike, included: ArrayLike, highest: int, lowest: int) -> int:
    """How many guesses are right.

    Args:
        scores: [m], higher for canaries that look included.
        included: [m], the coins.
        highest, lowest: numbers of guesses "in" and "out", fixed before the scores are seen.

    Raises:
        BadInput: scores that are not finite, or more guesses than canaries.
    """
    score, coin = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=bool)
    if score.ndim != 1 or score.shape != coin.shape or not np.isfinite(score).all():
        raise BadInput("scores", f"{score.shape} beside coins {coin.shape}", "one finite number for each coin")
    if min(highest, lowest) < 0 or not 1 <= highest + lowest <= len(score):
        raise BadInput("guesses", highest + lowest, f"1 to {len(score)}, the number of canaries")
    order = np.argsort(score, kind="stable")
    return int(coin[order[len(score) - highest :]].sum() + (~coin[order[:lowest]]).sum())


def p_value(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """An upper bound on the probability that an (epsilon, delta)-private mechanism lets at least `right` of `guesses`
    be right (theorem 5.2 of the paper, with its simplification to one maximum).

    With delta 0 the guesses are no better than coins that fall right with probability e^epsilon / (1 + e^epsilon).
    delta adds 2 m delta times the largest mean probability, over i >= 1, of i values just below `right`.
    """
    _check(right, guesses, canaries, epsilon, delta)
    binomial = stats.binom(guesses, special.expit(epsilon))
    tail = float(binomial.sf(right - 1))
    if right == 0:
        return 1.0
    below = np.cumsum(binomial.pmf(np.arange(right - 1, -1, -1)))  # P[right - i <= X < right] for i = 1, 2, ...
    return min(1.0, tail + 2 * canaries * delta * float(np.max(below / np.arange(1, right + 1))))


def one_run_lower(right: int, guesses: int, canaries: int, delta: float, confidence: float) -> float:
    """The largest epsilon that the guesses refute: it exceeds the mechanism's with probability at most 1 - confidence.

    Args:
        right: guesses that were right, of a number that was fixed beforehand.
        canaries: m, all canaries whose coins were tossed, guessed or not.
    """
    if not 0 < confidence < 1:
        raise BadInput("confidence", confidence, "between 0 and 1")

    def excess(epsilon: float) -> float:
        return p_value(right, guesses, canaries, epsilon, delta) - (1 - confidence)

    if excess(0.0) >= 0:
        return 0.0
    return max(0.0, float(optimize.brentq(excess, 0.0, MOST, xtol=1e-9)) - 1e-9)  # on the refuted side


def best_guesses(
    canaries: int, included: ArrayLike, removed: ArrayLike, delta: float, confidence: float
) -> tuple[int, float]:
    """How many guesses to make on each side, before any score is seen, and the bound that can then be expected.

    Args:
        included, removed: as many scores of included as of removed canaries, drawn from the laws that they are supposed
            to have. The number is where the bound is largest if the right guesses are as many as expected; a wrong law
            costs tightness and never validity.
    """
    drawn = np.concatenate([np.asarray(removed, dtype=np.float64), np.asarray(included, dtype=np.float64)])
    coins = (np.arange(len(drawn)) >= len(drawn) // 2)[np.argsort(drawn, kind="stable")]
    sides = np.unique(np.geomspace(1, canaries // 2, 40).astype(int))
    bounds = []
    for side in sides:
        share = max(1, round(len(drawn) * int(side) / canaries))
        right = int(side * (coins[-share:].mean() + 1 - coins[:share].mean()))
        bounds.append(one_run_lower(right, 2 * int(side), canaries, delta, confidence))
    best = int(np.argmax(bounds))
    return int(sides[best]), bounds[best]


def _check(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> None:
    if not 1 <= guesses <= canaries:
        raise BadInput("guesses", guesses, f"1 to {canaries}, the number of canaries")
    if not 0 <= right <= guesses:
        raise BadInput("right", right, f"0 to {guesses}")
    if not epsilon >= 0:
        raise BadInput("epsilon", epsilon, "at least 0")
    if not 0 <= delta <= 1:
        raise BadInput("delta", delta, "0 to 1")
