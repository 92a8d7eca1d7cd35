"""Per-example clipping: what every architecture does with its per-example gradient norms, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.population.params import Params

SLACK = 32  # rounding units by which a clipped example stays below the clip norm
# Where an example's gradient is itself a sum over many positions, its terms cancel and what is left is less exact.
SLACK_OF_SUMS = 1024


@dataclass(frozen=True)
class Clipped:
    """What one clipped sum saw. Exact statistics of private examples: no guarantee covers any of them.

    Args:
        loss: mean cross-entropy of each member over its real rows, [K]; 0 where there is none.
        norms: per-example gradient norms before clipping, [K, B]; 0 for padding, inf for dropped rows.
        clipped: real rows of each member whose norm is above its clip norm, int64 [K].
        dropped: real rows of each member without a finite norm; they were counted as zero. int64 [K].
    """

    loss: Tensor
    norms: Tensor
    clipped: Tensor
    dropped: Tensor


def clip_factors(
    norms: Tensor, clip: Tensor, weight: Tensor, losses: Tensor, *, slack: int = SLACK
) -> tuple[Tensor, Clipped]:
    """weight_i * min(1, clip_k / |g_ik|) of each member and example, exactly 0 where the norm is not finite.

    The norm is enlarged by `slack` rounding units first: the rounding of the norm, of the factor and of the product
    would otherwise carry some contributions above the clip norm, and the noise is calibrated to the clip norm.

    A zero factor does not silence a row that holds NaN or infinity (0 * NaN is NaN): see `silence`.

    Args:
        norms: [K, B].
        clip: [K], above 0; inf clips nothing.
        weight: [B] or [K, B]; 1 for a real row, 0 for padding.
        losses: cross-entropy of each row, [K, B].

    Returns:
        factors [K, B] and the report.
    """
    weight, limit = weight.expand_as(norms), clip.unsqueeze(1)
    real, finite = weight > 0, torch.isfinite(norms)
    padding, lost = ~real, ~finite
    # masked_fill, since torch.where would copy its number to the device, which no CUDA graph can record
    enlarged = norms * (1 + slack * torch.finfo(norms.dtype).eps)
    factors = (limit / enlarged).clamp_(max=1).masked_fill_(lost, 0).mul_(weight)
    report = Clipped(
        loss=losses.masked_fill(padding, 0).sum(1) / real.sum(1).clamp_(min=1),
        norms=norms.masked_fill(lost, torch.inf).masked_fill_(padding, 0),
        clipped=(real & finite & (norms > limit)).sum(1),
        dropped=(real & lost).sum(1),
    )
    return factors, report


def silence(tensor: Tensor) -> Tensor:
    """The same with zero in place of every NaN and infinity.

    Only rows whose factor is zero hold any, since one such number makes the row's norm not finite.
    """
    return tensor.nan_to_num(0.0, 0.0, 0.0)


def silence_(tensor: Tensor) -> Tensor:
    """`silence` in place."""
    return tensor.nan_to_num_(0.0, 0.0, 0.0)


def apply_masks(out: Params, masks: Params | None) -> None:
    """Zero the masked coordinates of gradient buffers."""
    for name, mask in (masks or {}).items():
        out[name].mul_(mask)


def add_gradients(out: Params, total: Params, *, fresh: bool, masks: Params | None) -> None:
    """out = (0 if fresh else out) + total, without the masked coordinates."""
    for name, gradient in total.items():
        if fresh:
            out[name].copy_(gradient)
        else:
            out[name].add_(gradient)
    apply_masks(out, masks)
