"""One CUDA kernel that makes a member's noise, adds it to the clipped sum and moves the weights: the noise itself is
never in memory."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 256  # counters a program takes; each makes four normal numbers


@triton.jit
def _normals(key, counter, step, part):
    """Four standard normal numbers for each counter: Philox 4x32-10 and Box and Muller's transform.

    Uniform numbers are at least 2^-33, so the tails reach 6.8 standard deviations.
    """
    zero = counter * 0
    a, b, c, d = tl.philox(key, counter, zero + part, zero + step, zero)
    scale: tl.constexpr = 2.3283064365386963e-10  # 2^-32
    turn: tl.constexpr = 6.283185307179586 * 2.3283064365386963e-10
    first = tl.sqrt(-2.0 * tl.log((a.to(tl.float32) + 0.5) * scale))
    second = tl.sqrt(-2.0 * tl.log((c.to(tl.float32) + 0.5) * scale))
    one, other = b.to(tl.float32) * turn, d.to(tl.float32) * turn
    return first * tl.cos(one), first * tl.sin(one), second * tl.cos(other), second * tl.sin(other)


@triton.jit
def _move(
    weights, total, velocity, mask, at, kept, noise, rate, momentum, MOMENTUM: tl.constexpr, MASKED: tl.constexpr
):
    change = tl.load(total + at, mask=kept, other=0.0) + noise
    if MASKED:
        change = change * tl.load(mask + at, mask=kept, other=0.0)
    change = change * rate
    if MOMENTUM:
        change = change + momentum * tl.load(velocity + at, mask=kept, other=0.0)
        tl.store(velocity + at, change, mask=kept)
    tl.store(weights + at, tl.load(weights + at, mask=kept, other=0.0) - change, mask=kept)


@triton.jit
def _step(
    weights, total, velocity, mask, keys, step, deviation, rate, size, part, momentum,
    MOMENTUM: tl.constexpr, MASKED: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    member = tl.program_id(1).to(tl.int64)
    counter = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    deviation, rate = tl.load(deviation + member), tl.load(rate + member)
    a, b, c, d = _normals(tl.load(keys + member), counter, tl.load(step), part)
    first = tl.program_id(0) * SIZE * 4 + tl.arange(0, SIZE)
    start = member * size
    at = first
    _move(weights, total, velocity, mask, start + at, at < size, a * deviation, rate, momentum, MOMENTUM, MASKED)
    at = first + SIZE
    _move(weights, total, velocity, mask, start + at, at < size, b * deviation, rate, momentum, MOMENTUM, MASKED)
    at = first + 2 * SIZE
    _move(weights, total, velocity, mask, start + at, at < size, c * deviation, rate, momentum, MOMENTUM, MASKED)
    at = first + 3 * SIZE
    _move(weights, total, velocity, mask, start + at, at < size, d * deviation, rate, momentum, MOMENTUM, MASKED)


def noisy_step(
    weights: Tensor,
    total: Tensor,
    velocity: Tensor | None,
    mask: Tensor | None,
    *,
    keys: Tensor,
    step: Tensor,
    deviation: Tensor,
    rate: Tensor,
    momentum: float,
    part: int,
) -> None:
    """velocity = momentum * velocity + rate_k * mask * (total + deviation_k * z), weights -= velocity.

    Args:
        weights, total, velocity, mask: float32 [K, ...] on one CUDA device; velocity None without momentum.
        keys: int64 [K]; z depends on the member's key, the step and `part` alone.
        step: int32 [1], read by the kernel, so that a captured step goes on counting.
        deviation, rate: [K], of the noise and the learning rate over the expected batch.
        part: the parameter's number.
    """
    size = weights[0].numel()
    grid = (triton.cdiv(size, 4 * BLOCK), weights.shape[0])
    with torch.cuda.device(weights.device):
        _step[grid](
            weights, total, weights if velocity is None else velocity, weights if mask is None else mask,
            keys, step, deviation, rate, size, part, momentum,
            MOMENTUM=velocity is not None, MASKED=mask is not None, SIZE=BLOCK,
        )  # fmt: skip
