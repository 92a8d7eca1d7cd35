"""From counted guesses to lower bounds on epsilon.

An audit plays a game many times: a model is trained with or without one record, the canary, and a guess is made from
what the mechanism released. Guessing "with" is right in a share TPR of the runs with it and wrong in a share FPR of the
runs without; how far apart the two can be is what a guarantee limits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize, special

from labkit.errors import BadInput


@dataclass(frozen=True)
class Counts:
    """What a game counted at one threshold that was fixed beforehand.

    Args:
        true_positives: guesses "with" among `with_runs` runs with the canary.
        false_positives: guesses "with" among `without_runs` runs without it.

    Raises:
        BadInput: no run in a world, or a count outside 0 to its runs.
    """

    true_positives: int
    with_runs: int
    false_positives: int
    without_runs: int

    def __post_init__(self) -> None:
        pairs = (("true_positives", "with_runs"), ("false_positives", "without_runs"))
        for name, runs in pairs:
            count, total = getattr(self, name), getattr(self, runs)
            if total < 1:
                raise BadInput(runs, total, "at least one run in each world")
            if not 0 <= count <= total:
                raise BadInput(name, count, f"0 to {total}")


def clopper_pearson(successes: int, runs: int, error: float) -> tuple[float, float]:
    """Lower and upper bound of a binomial probability, each wrong with probability at most `error`
    (Clopper and Pearson 1934)."""
    low = 0.0 if successes == 0 else float(special.betaincinv(successes, runs - successes + 1, error))
    high = 1.0 if successes == runs else float(special.betainccinv(successes + 1, runs - successes, error))
    return low, high


def certain_rates(counts: Counts, confidence: float) -> tuple[float, float]:
    """A lower bound of TPR and an upper bound of FPR that hold together with probability `confidence`."""
    if not 0 < confidence < 1:
        raise BadInput("confidence", confidence, "between 0 and 1")
    error = (1 - confidence) / 2  # half for each side
    low, _ = clopper_pearson(counts.true_positives, counts.with_runs, error)
    _, high = clopper_pearson(counts.false_positives, counts.without_runs, error)
    return low, high


def mu_lower(true_positives: int, n1: int, false_positives: int, n0: int, confidence: float) -> float:
    """Lower bound on mu = shift / sigma of a Gaussian mechanism: Phi^-1(TPR) - Phi^-1(FPR) at the certain rates.

    Args:
        true_positives, false_positives: guesses "with" among n1 runs with the canary and n0 runs without it.
        confidence: of both rates together, e.g. 0.95 for 97.5 % each side.

    Returns:
        at least 0; valid for mechanisms whose trade-off curve is a Gaussian's (Dong, Roth and Su 2019, 1905.02383,
        section 2.3). For subsampled training see `labkit.privacy.audit.family`.
    """
    low, high = certain_rates(Counts(true_positives, n1, false_positives, n0), confidence)
    return max(0.0, float(special.ndtri(low) - special.ndtri(high))) if low > 0 and high < 1 else 0.0


def delta_of_mu(mu: float, epsilon: float) -> float:
    """The delta of the Gaussian mechanism with shift / sigma = mu at this epsilon
    (Balle and Wang 2018, 1805.06530, theorem 8)."""
    if mu == 0:
        return 0.0
    return float(
        special.ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon + float(special.log_ndtr(-mu / 2 - epsilon / mu)))
    )


def epsilon_of_mu(mu: float, delta: float) -> float:
    """The epsilon of the Gaussian mechanism with shift / sigma = mu, exactly: 4.38 for mu 1 and delta 1e-5.

    Raises:
        BadInput: mu negative or not finite, delta outside (0, 1).
    """
    if not 0 <= mu < math.inf:
        raise BadInput("mu", mu, "a finite number of at least 0")
    if not 0 < delta < 1:
        raise BadInput("delta", delta, "between 0 and 1")
    if delta_of_mu(mu, 0.0) <= delta:
        return 0.0
    most = mu * mu / 2 - mu * float(special.ndtri(delta))  # there the first of the two terms alone is delta
    return float(optimize.brentq(lambda epsilon: delta_of_mu(mu, epsilon) - delta, 0.0, most, xtol=1e-12))


def epsilon_lower(counts: Counts, delta: float, confidence: float) -> float:
    """Lower bound on epsilon that supposes nothing about the mechanism.

    From TPR <= e^epsilon FPR + delta and the same for the complements (Kairouz, Oh and Viswanath 2015, 1311.0776).
    At few thousand runs it reaches less than half of the truth, because FPR cannot be certified to be tiny.
    """
    low, high = certain_rates(counts, confidence)
    hit = math.log((low - delta) / high) if low > delta else 0.0
    missed = math.log((1 - delta - high) / (1 - low)) if high < 1 - delta else 0.0
    return max(0.0, hit, missed)
