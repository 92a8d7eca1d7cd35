"""What a correct trainer's scores look like: it fixes the thresholds, before any run, and foretells the counts."""

from __future__ import annotations

import math

import numpy as np
import torch

from labkit.privacy.audit.bounds import Counts
from labkit.privacy.audit.canaries import MOVEMENT, RATIO, Planted, likelihood_ratio

TAIL = 3.0  # standard deviations above the world without: for canaries that are seldom there, and then very much
IMAGINED = 10_000  # scores that stand for their law
AT_ONCE = 1 << 20  # numbers drawn at once: 8 MB


def thresholds(planted: Planted) -> tuple[tuple[int, float], ...]:
    """Half the expected shift of either score, and `TAIL` standard deviations of the movement without the canary."""
    plan = planted.plan
    without, shift = score_law(planted)
    moved = planted.share * plan.sample_rate * plan.steps
    tail = TAIL * plan.noise_multiplier * math.sqrt(plan.steps)
    return (RATIO, without + shift / 2), (MOVEMENT, moved / 2), (MOVEMENT, tail)


def score_law(planted: Planted) -> tuple[float, float]:
    """The expected likelihood ratio without the canary, and by how much it is larger with it."""
    plan = planted.plan
    sigma = plan.noise_multiplier
    z = torch.linspace(-10 * sigma, 1 + 10 * sigma, 20_001, dtype=torch.float64)
    ratio = likelihood_ratio(z, planted).numpy()
    density = np.exp(-0.5 * (z.numpy() / sigma) ** 2)
    without = density / density.sum()
    with_it = without * np.exp(ratio)
    mean = float(without @ ratio)
    return plan.steps * mean, plan.steps * (float(with_it @ ratio / with_it.sum()) - mean)


def imagined_scores(planted: Planted, runs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that a correct trainer would get, drawn without one: with and without the canary, [2, runs] each."""
    random = np.random.default_rng(seed)
    worlds = (np.empty((2, runs)), np.empty((2, runs)))
    at_once = max(1, AT_ONCE // planted.plan.steps)
    for there, scores in zip((True, False), worlds, strict=True):
        for first in range(0, runs, at_once):
            part = slice(first, min(first + at_once, runs))
            z = random.normal(0, planted.plan.noise_multiplier, (part.stop - first, planted.plan.steps))
            if there:
                z += planted.share * (random.random(z.shape) < planted.plan.sample_rate)
            scores[RATIO, part] = likelihood_ratio(torch.from_numpy(z), planted).numpy().sum(1)
            scores[MOVEMENT, part] = z.sum(1)
    return worlds


def expected_counts(planted: Planted, runs: int) -> tuple[Counts, ...]:
    """The counts that a correct trainer's game can be expected to show."""
    included, removed = imagined_scores(planted, IMAGINED)

    def share(scores: np.ndarray, score: int, threshold: float) -> int:
        return round(runs * float((scores[score] > threshold).mean()))

    return tuple(Counts(share(included, *t), runs, share(removed, *t), runs) for t in thresholds(planted))
