"""The clipped sum and the noise of one model whose per-unit gradients are at hand, as autograd returned them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.population.clipping import clip_factors
from labkit.privacy.noise import fill_normal


@dataclass(frozen=True)
class ClippedUnits:
    """What one clipped sum saw: exact statistics of private units, which no guarantee covers.

    Args:
        norms: gradient norms before clipping, float32 [b]; 0 for padding, infinite for dropped units.
        clipped, dropped: real units above the clip norm, and those without a finite norm, int64 [].
    """

    norms: Tensor
    clipped: Tensor
    dropped: Tensor


@torch.no_grad()
def clipped_sum(
    gradients: Mapping[str, Tensor], out: Mapping[str, Tensor], *, clip: float, weight: Tensor, fresh: bool
) -> ClippedUnits:
    """out = (0 if fresh else out) + sum_i weight_i * min(1, clip / |g_i|) * g_i.

    |g_i| is taken over all tensors together. Norms, factors and sums are float32 without TF32, whatever the gradients
    are: a sum in a shorter format could move by more than the clip norm. A unit whose gradient is not finite adds
    exactly zero and is counted.

    Args:
        gradients: per-unit gradients [b, ...] by parameter name; any float type.
        out: float32 buffers [...] of the same names.
        clip: the clip norm, above 0; infinite for plain training.
        weight: [b], 1 for a real unit and 0 for padding.
    """
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1, dtype=torch.float32) for g in gradients.values()]
    norms = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    limit = norms.new_full((1,), clip)
    factors, seen = clip_factors(norms[None], limit, weight.float()[None], torch.zeros_like(norms)[None])
    for name, g in gradients.items():
        if fresh:
            out[name].zero_()
        _add(g.flatten(1), factors[0], out[name].view(-1))
    return ClippedUnits(seen.norms[0], seen.clipped[0], seen.dropped[0])


def _add(rows: Tensor, factors: Tensor, out: Tensor) -> None:
    """out += factors @ rows in float32. A row that holds NaN has the factor 0, and must not be multiplied by it."""
    if rows.device.type == "cuda":
        from labkit.privacy.fused_sum import add_weighted_rows  # Triton comes with PyTorch's CUDA builds alone

        add_weighted_rows(rows.contiguous(), factors, out)
    else:
        out.addmv_(rows.float().masked_fill((factors == 0)[:, None], 0).T, factors)


@torch.no_grad()
def add_noise(out: Mapping[str, Tensor], *, deviation: float, key: int, step: int) -> None:
    """out = out + deviation * z with independent standard normal z, which depend on the key and the step alone.

    The same on every CPU; a CUDA device has other numbers of the same law (`labkit.privacy.noise`).

    Args:
        out: contiguous float32 buffers by name; their order decides which numbers each gets.
        deviation: sigma times the sensitivity; 0 adds nothing.
        key: of this release alone (`Plan.noise_key`).
    """
    if not deviation:
        return
    first = next(iter(out.values()))
    if first.device.type == "cuda":
        from labkit.privacy.fused_noise import noisy_step  # Triton comes with PyTorch's CUDA builds alone

        keys = torch.tensor([key], device=first.device)
        at = torch.tensor([step], dtype=torch.int32, device=first.device)
        scale = torch.tensor([deviation], dtype=torch.float32, device=first.device)
        rate = -torch.ones(1, device=first.device)
        for part, buffer in enumerate(out.values()):
            zero = torch.zeros_like(buffer)[None]
            noisy_step(
                buffer[None], zero, None, None, keys=keys, step=at, deviation=scale, rate=rate, momentum=0.0, part=part
            )  # buffer - (-1) * (0 + deviation * z)
        return
    numbers = torch.empty(1, sum(buffer.numel() for buffer in out.values()))
    fill_normal(numbers, [key], step, [True])
    start = 0
    for buffer in out.values():
        buffer.add_(numbers[0, start : start + buffer.numel()].view(buffer.shape), alpha=deviation)
        start += buffer.numel()
