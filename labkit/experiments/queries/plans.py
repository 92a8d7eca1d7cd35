"""What an epsilon, or a word, means for each private training of notebook 03."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from labkit.experiments.frontier.spec import CLIPPED, PLAIN
from labkit.experiments.queries.spec import LOGIT, QueriesSpec
from labkit.privacy import Plan

LOGIT_BOUND = 0.5  # B: about what a similarity's gradient measures; Adam does not mind the sum's scale
LOGIT_TEMPERATURE = 1.0  # the lowest with a bound that holds for every Poisson draw


@dataclass(frozen=True)
class Plans:
    """The plans of one point; each alone costs its epsilon.

    Args:
        point: its epsilon is not read.
        units: the protected units of the training split.
    """

    point: QueriesSpec
    units: int

    def tuning(self, epsilon: float | str, planted: int = 0) -> Plan:
        """The language model's, with canaries planted or without."""
        return _plan(
            epsilon, self.units + planted, self.point.batch_size, tuning_steps(self.point, self.units),
            self.point.clip_norm, self.point.delta, self.point.noise_source,
        )  # fmt: skip

    def encoder(self, epsilon: float, arm: str) -> Plan:
        """DP-direct's or Logit-DP's."""
        point = self.point
        batch, steps, clip = point.direct_batch, point.direct_steps, point.clip_norm
        if arm == LOGIT:
            from labkit.retrieval.logit import sensitivity

            batch, steps = point.logit_batch, point.logit_steps
            clip = sensitivity(LOGIT_BOUND, LOGIT_TEMPERATURE)
        return _plan(epsilon, self.units, batch, steps, clip, point.delta, point.noise_source)


def tuning_steps(point: QueriesSpec, units: int) -> int:
    """Steps in which a unit is drawn `epochs` times on average."""
    return max(1, math.ceil(point.epochs * units / point.batch_size))


@cache
def _plan(
    epsilon: float | str, units: int, batch: int, steps: int, clip: float, delta: float, noise_source: str
) -> Plan:
    common = {"examples": units, "batch_size": batch, "steps": steps}
    if epsilon == PLAIN:
        return Plan.nonprivate("plain: neither clipping nor noise", **common)
    if epsilon == CLIPPED:
        return Plan.nonprivate("clipped: clipping without noise", clip_norm=clip, **common)
    return Plan.calibrated(epsilon=epsilon, clip_norm=clip, delta=delta or None, noise_source=noise_source, **common)
