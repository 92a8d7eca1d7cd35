"""Repeating a whole training a secret, random number of times, and releasing the best (Papernot, Steinke, 2110.03620).

Conditions, without which the cost below is wrong: the number of repeats stays secret; candidates are drawn
independently and with replacement from a public law; the score belongs to the private base run, here as one noisy
count; only the winner is released, losers are not shown; a draw of 0 repeats releases a default fixed beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from dp_accounting import ComposedDpEvent, DpEvent, GaussianDpEvent
from dp_accounting.dp_event import RepeatAndSelectDpEvent
from scipy import optimize
from torch import Tensor

from labkit.errors import BadInput
from labkit.privacy.accounting import Spent, default_delta, spent
from labkit.privacy.calibration import PRECISION, least_noise
from labkit.privacy.checks import check_guarantee, check_training
from labkit.privacy.events import dp_sgd
from labkit.privacy.noise import SEEDED
from labkit.privacy.plan import Plan

LOGARITHMIC, GEOMETRIC, POISSON = 0.0, 1.0, math.inf
SCORE, LEAST = 10.0, 4.0  # the score's noise, times epsilon and at least: among thousands of answers it costs little


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Private random repeats of one plan.

    Args:
        base: the plan of each repeat, its score included (`also`); its epsilon is what a single run would cost.
        mean, shape: of the number of repeats.
        score_noise: standard deviation of the noise on a run's number of right answers, whose sensitivity is 1.
        epsilon, delta, accountant: of the whole.
    """

    base: Plan
    mean: float
    shape: float
    score_noise: float
    epsilon: float
    delta: float
    accountant: str

    def event(self) -> DpEvent:
        """The whole, as `dp_accounting` counts it."""
        return repeats_event(self.base.event(), self.score_noise, self.mean, self.shape)

    def record(self) -> dict[str, Any]:
        """Plain values: the base plan's, with the epsilon of the whole."""
        whole = {"epsilon": self.epsilon, "delta": self.delta, "accountant": self.accountant}
        repeats = {"mean": self.mean, "shape": str(self.shape), "score_noise": self.score_noise}
        return self.base.record() | whole | {"repeats": repeats, "base_epsilon": self.base.epsilon}


def plan_repeats(
    *,
    epsilon: float,
    mean: float,
    shape: float = GEOMETRIC,
    examples: int,
    batch_size: int,
    steps: int,
    clip_norm: float,
    delta: float | None = None,
    score_noise: float | None = None,
    noise_source: str = SEEDED,
) -> Repeats:
    """The least noise of a base run, DP-SGD and a noisy score, with which all repeats together cost at most epsilon.

    Args:
        mean, shape: of the number of repeats, public (see `draw_repeats`).
        score_noise: None for 10 / epsilon right answers, at least 4.

    Raises:
        BadInput: a field that cannot be, or an epsilon that no noise reaches.
    """
    check_training(examples, batch_size, steps, clip_norm, noise_source)
    delta = default_delta(examples) if delta is None else delta
    check_guarantee(examples, clip_norm, delta, epsilon)
    _check(mean, shape)
    score_noise = max(SCORE / epsilon, LEAST) if score_noise is None else score_noise
    if not 0 < score_noise < math.inf:
        raise BadInput("score_noise", score_noise, "a finite number above 0")
    scoring = spent(RepeatAndSelectDpEvent(GaussianDpEvent(score_noise), mean, shape), delta)
    if scoring.epsilon >= epsilon:
        raise BadInput("epsilon", epsilon, f"above {scoring.epsilon:.4g}, the cost of the repeats' scores alone")

    def cost(sigma: float) -> Spent:
        training = dp_sgd(batch_size / examples, sigma, steps)
        return spent(repeats_event(training, score_noise, mean, shape), delta)

    sigma = least_noise(lambda sigma: cost(sigma).epsilon, epsilon, 1.0, PRECISION)
    base = Plan.noised(
        noise_multiplier=sigma,
        examples=examples,
        batch_size=batch_size,
        steps=steps,
        clip_norm=clip_norm,
        delta=delta,
        noise_source=noise_source,
        also=(GaussianDpEvent(score_noise),),
    )
    whole = cost(sigma)
    return Repeats(
        base=base,
        mean=mean,
        shape=shape,
        score_noise=score_noise,
        epsilon=whole.epsilon,
        delta=whole.delta,
        accountant=whole.accountant,
    )


def base_plan(**given: Any) -> Plan:
    """The plan of each repeat: `plan_repeats(...).base`."""
    return plan_repeats(**given).base


def repeats_event(training: DpEvent, score_noise: float, mean: float, shape: float) -> DpEvent:
    """A random number of repeats of a training and its noisy score."""
    return RepeatAndSelectDpEvent(ComposedDpEvent((training, GaussianDpEvent(score_noise))), mean, shape)


def noisy_score(right: Tensor, score_noise: float, generator: torch.Generator) -> Tensor:
    """Numbers of right answers on the training split [K], float64, each with Gaussian noise of its own.

    A record that is added or removed changes a count by at most 1. The scores are never released.
    """
    noise = torch.randn(right.shape, dtype=torch.float64, generator=generator)
    return right.double().cpu() + score_noise * noise


def draw_repeats(mean: float, shape: float, generator: torch.Generator) -> int:
    """How often to repeat: a secret number.

    Args:
        mean: the expected number, 1 to 10,000.
        shape: of the truncated negative binomial family (Definition 1): 0 logarithmic, 1 geometric, others from 0.001
            to 100; infinite for a Poisson number, which alone can be 0: then release a default.
    """
    _check(mean, shape)
    if shape == POISSON:
        return int(torch.poisson(torch.tensor(float(mean), dtype=torch.float64), generator=generator))
    if mean < 1 + 1e-9:  # hardly ever 2; the root below would be lost in rounding
        return 1
    decay = _decay(mean, shape)
    stay = -math.expm1(-decay)  # 1 - gamma
    probability = stay * (shape / math.expm1(shape * decay) if shape else 1 / decay)
    at = float(torch.rand((), dtype=torch.float64, generator=generator))
    k, below = 1, probability
    while below <= at and (k < mean or probability > 1e-17):  # far beyond the mean the sum no longer grows
        probability *= stay * (k + shape) / (k + 1)
        k, below = k + 1, below + probability
    return k


@lru_cache(maxsize=64)
def _decay(mean: float, shape: float) -> float:
    """-log gamma of the distribution with this mean."""

    def excess(t: float) -> float:
        return (math.expm1(t) * shape / -math.expm1(-shape * t) if shape else math.expm1(t) / t) - mean

    return optimize.brentq(excess, 1e-12, 60.0, xtol=1e-15, rtol=1e-14)


def _check(mean: float, shape: float) -> None:
    # Beyond these the probabilities underflow.
    if not 1 <= mean <= 1e4:
        raise BadInput("mean", mean, "1 to 10,000 repeats on average")
    if shape not in (LOGARITHMIC, POISSON) and not 1e-3 <= shape <= 100:
        raise BadInput("shape", shape, "0 (logarithmic), 1 (geometric), others of 0.001 to 100, or inf (Poisson)")
