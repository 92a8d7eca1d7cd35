"""What the selection fraction f and the clip of the contribution map mean here, and in another convention.

One step of DP-AdaFEST (2311.08357, Algorithm 1) releases a noisy contribution map and a noisy gradient of the same
examples: two Gaussian mechanisms of one draw, so one Gaussian of noise multiplier sigma with
1 / sigma^2 = 1 / s1^2 + 1 / s2^2, s1 and s2 in multiples of their sensitivities C1 and C2. The two are charged as one
event: counted as two draws they would seem cheaper than they are.
"""

from __future__ import annotations

import math

from labkit.errors import BadInput


def share(fraction: float) -> float:
    """The share of 1 / sigma^2 that selection spends here: f itself."""
    return _checked(fraction)


def inverted_share(fraction: float) -> float:
    """The share of 1 / sigma^2 that selection spends where f sets the ratio of the noises r = f / (1 - f) instead.

    The two noise multipliers are then sigma sqrt(1 + r^2) on the map and sigma sqrt(1 + r^2) / r on the gradient. Their
    inverse squares sum to 1 / sigma^2, so the privacy is the same; the map's share is 1 / (1 + r^2), which is
    (1 - f)^2 / ((1 - f)^2 + f^2). It falls as f grows: f = 0.1 spends 98.8 % on selection, and the gradient's noise is
    9.06 sigma in place of 1.05 sigma.
    """
    f = _checked(fraction)
    return (1 - f) ** 2 / ((1 - f) ** 2 + f**2)


def deviations(noise_multiplier: float, fraction: float, map_clip: float, clip: float) -> tuple[float, float]:
    """Standard deviations of the noise on the contribution map, sigma C1 / sqrt(f), and on the gradient,
    sigma C2 / sqrt(1 - f).

    Args:
        noise_multiplier: sigma, of the plan's event.
        fraction: f, the share of 1 / sigma^2 spent on selection, between 0 and 1.
        map_clip: C1, the largest L2 norm of one example's contributions.
        clip: C2, the largest L2 norm of one example's gradient, embedding rows and dense layers together.

    Raises:
        BadInput: f is not strictly between 0 and 1: one of the noises would be infinite.
    """
    f = _checked(fraction)
    return noise_multiplier * map_clip / math.sqrt(f), noise_multiplier * clip / math.sqrt(1 - f)


def l2_factor(distinct: int, map_clip: float) -> float:
    """min(1, C1 / sqrt(m)): what each of an example's m distinct rows adds to the map when its L2 norm is clipped."""
    return min(1.0, map_clip / math.sqrt(distinct)) if distinct else 1.0


def l1_factor(distinct: int, map_clip: float) -> float:
    """min(1, C1 / m): the same when its L1 norm is clipped, as where each example's counts are normalised to sum to C1.

    Its L2 norm, which the noise is measured by, is then C1 / sqrt(m) only: at equal epsilon the signal is sqrt(m) times
    smaller than with `l2_factor`, where C1 is at most 1.
    """
    return min(1.0, map_clip / distinct) if distinct else 1.0


def _checked(fraction: float) -> float:
    if not 0 < fraction < 1:
        raise BadInput("selection_fraction", fraction, "above 0 and below 1: both noises must be finite")
    return float(fraction)
