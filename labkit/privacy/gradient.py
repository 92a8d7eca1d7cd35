"""The query that a private step asks: a sum of clipped per-example gradients, which knows its own sensitivity."""

from __future__ import annotations

from torch import Tensor

from labkit.population import Architecture, Params
from labkit.population.clipping import Clipped


class ClippedSum:
    """sum_i weight_i * min(1, clip_k / |g_ik|) * g_ik for each member k.

    Args:
        arch: computes the per-example gradients.
        clip: clip norms [K]; infinite for plain training.
        masks: 0/1 tensors [K, ...]; masked coordinates leave the gradient before its norm is taken.
    """

    def __init__(self, arch: Architecture, clip: Tensor, masks: Params | None) -> None:
        self.arch, self.clip, self.masks = arch, clip, masks

    @property
    def sensitivity(self) -> Tensor:
        """How far one example more or less moves the sum in L2, [K]: the clip norm. Noise is scaled by this."""
        return self.clip

    def add(self, params: Params, x: Tensor, y: Tensor, out: Params, *, weight: Tensor, fresh: bool) -> Clipped:
        """Add a batch's clipped gradients to `out` (arguments as for `Architecture.clipped_sum`)."""
        return self.arch.clipped_sum(params, x, y, out, clip=self.clip, weight=weight, fresh=fresh, masks=self.masks)
