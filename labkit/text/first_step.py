"""What the first step of a fine-tuning checks of itself, before hours are spent on a set-up that does not learn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.privacy import Plan
    from labkit.text.lora import Adapters

DOUBT = 6.0  # standard errors by which the measured noise may miss the planned one: once in 5e8 runs


@dataclass(frozen=True)
class Snapshot:
    """What a step must and must not change: a sum over each frozen weight, and the trained weights."""

    frozen: Tensor
    weights: Tensor

    @classmethod
    def of(cls, adapters: Adapters, weights: Tensor) -> Snapshot:
        """As they are now."""
        sums = torch.stack([weight.detach().double().abs().sum() for weight in adapters.frozen()])
        return cls(sums, weights.clone())


def check_first_step(
    adapters: Adapters, weights: Tensor, before: Snapshot, *, plan: Plan, measured_noise: float | None, seen: int
) -> None:
    """Adapters moved and the model reads them, frozen weights did not, the noise is as strong as planned.

    Args:
        weights: of the adapters, as they are trained, float32 [D].
        measured_noise: the noise multiplier that the first step's noise had; None without noise.
        seen: units that the first step drew.

    Raises:
        LabError: one of these does not hold: the set-up is wrong, and nothing was released.
    """
    now = Snapshot.of(adapters, weights)
    if not torch.equal(now.frozen, before.frozen):
        raise LabError("first step: frozen weights moved; something else trains the model")
    read = torch.cat([layer.weight.detach().flatten() for layer in adapters.layers.values()])
    still = torch.equal(now.weights, before.weights) and (seen > 0 or plan.private)  # an empty draw moves none
    if still or not torch.equal(read, now.weights.to(read.dtype)):
        raise LabError("first step: the adapters that the model reads did not move; attach them after moving it")
    if plan.private:
        sigma = plan.noise_multiplier
        if abs(measured_noise - sigma) > sigma * (DOUBT / math.sqrt(2 * len(now.weights)) + 1e-3):
            raise LabError(f"first step: noise multiplier {measured_noise:.4g} in use, {sigma:.4g} planned")
