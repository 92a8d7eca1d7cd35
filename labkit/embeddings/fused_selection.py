"""CUDA kernels that choose rows: who holds a row, how many votes it has, which untouched rows the noise lifts."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from labkit.embeddings.rows import RowMap
from labkit.embeddings.unit_gradients import UnitGradients
from labkit.population.clipping import SLACK
from labkit.privacy.fused_noise import _normals

SIZE = 256  # slots or places that a program holds


@triton.jit
def _write(first, rows, real, value, count, OWN: tl.constexpr, SIZE: tl.constexpr):
    slot = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    there = tl.load(real + slot, mask=slot < count, other=0) != 0
    row = tl.load(rows + slot, mask=there, other=0)
    # Of several slots of a row any one may win: nothing that is kept depends on which.
    tl.store(first + row, slot if OWN else tl.zeros_like(slot) + value, mask=there)


@triton.jit
def _vote(
    first, rows, real, distinct, weight, owner, votes, survivors, touched, step, clip, per_unit,
    L1: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    unit = tl.program_id(0)
    if unit == 0:
        at = tl.load(step)
        tl.store(survivors + at, 0)
        tl.store(touched + at, 0)
    place = tl.arange(0, WIDTH)
    slot = unit * per_unit + place
    there = tl.load(real + slot, mask=place < per_unit, other=0) != 0
    own = tl.load(first + tl.load(rows + slot, mask=there, other=0), mask=there, other=0)
    tl.store(owner + slot, own, mask=place < per_unit)
    once = tl.load(distinct + slot, mask=there, other=0) != 0
    norm = tl.maximum(tl.sum(once.to(tl.float32)), 1.0)
    norm = norm if L1 else tl.sqrt(norm)
    part = tl.minimum(clip / norm, 1.0) * tl.load(weight + unit)
    tl.atomic_add(votes + own, tl.zeros((WIDTH,), dtype=tl.float32) + part, mask=once)


@triton.jit
def _keep(rows, real, owner, votes, keep, survivors, touched, key, step, deviation, limit, count, SIZE: tl.constexpr):
    slot = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    there = tl.load(real + slot, mask=slot < count, other=0) != 0
    owned = there & (tl.load(owner + slot, mask=there, other=-1) == slot)
    row = tl.load(rows + slot, mask=owned, other=0)
    at = tl.load(step)
    z, _, _, _ = _normals(tl.load(key), row.to(tl.int32), at.to(tl.int32), 0)
    kept = owned & (tl.load(votes + slot, mask=owned, other=0.0) + z * deviation >= limit)
    tl.store(keep + slot, kept.to(tl.int8), mask=slot < count)
    tl.atomic_add(survivors + at, tl.sum(kept.to(tl.int64)))
    tl.atomic_add(touched + at, tl.sum(owned.to(tl.int64)))


def select(
    held: RowMap,
    found: UnitGradients,
    counts: tuple[Tensor, Tensor],
    *,
    map_clip: float,
    l1: bool,
    deviation: float,
    limit: float,
    key: Tensor,
    step: Tensor,
) -> tuple[Tensor, Tensor]:
    """Which slots speak for a row whose noisy contribution reaches the limit.

    A row's noise depends on key, step and row alone, as in a procedure that noises all rows.

    Args:
        held: empty; holds the batch's rows afterwards, until `release`.
        counts: int64 [steps] each, of survivors and of touched rows; written at `step`.
        map_clip, l1: C1, and whether a unit's map is clipped in L1 instead of L2.
        deviation, limit: of the map's noise; the threshold in the map's own units.

    Returns:
        owner int32 [S], the slot that speaks for each slot's row; keep bool [S], of owners.
    """
    rows, real = found.rows.reshape(-1), found.real.contiguous().view(-1).view(torch.int8)
    first = found.first.contiguous().view(-1).view(torch.int8)
    units, per_unit = found.rows.shape
    count, device = len(rows), rows.device
    owner = torch.empty(count, dtype=torch.int32, device=device)
    keep = torch.empty(count, dtype=torch.bool, device=device)
    votes = torch.zeros(count, device=device)
    clip = map_clip / (1 + SLACK * torch.finfo(torch.float32).eps)  # below the clip norm by a few rounding units
    blocks = (triton.cdiv(count, SIZE),)
    with torch.cuda.device(device):
        _write[blocks](held.first, rows, real, 0, count, OWN=True, SIZE=SIZE)
        _vote[(units,)](
            held.first, rows, real, first, found.weight, owner, votes, *counts, step, clip, per_unit,
            L1=l1, WIDTH=triton.next_power_of_2(per_unit),
        )  # fmt: skip
        _keep[blocks](
            rows, real, owner, votes, keep.view(torch.int8), *counts, key, step, deviation, limit, count, SIZE=SIZE
        )
    return owner, keep


def release(held: RowMap, found: UnitGradients) -> None:
    """Forget the present batch."""
    rows, real = found.rows.reshape(-1), found.real.contiguous().view(-1).view(torch.int8)
    with torch.cuda.device(rows.device):
        _write[(triton.cdiv(len(rows), SIZE),)](held.first, rows, real, held.none, len(rows), OWN=False, SIZE=SIZE)


@triton.jit
def _gaps(out, key, step, scale, most, count, SIZE: tl.constexpr):
    place = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    zero = place * 0
    a, b, _, _ = tl.philox(tl.load(key), place, zero, zero + tl.load(step).to(tl.int32), zero)
    high, low = (a.to(tl.uint32, bitcast=True) >> 5).to(tl.float64), (b.to(tl.uint32, bitcast=True) >> 6).to(tl.float64)
    uniform = (high * 67108864.0 + low + 0.5) * 1.1102230246251565e-16  # 53 bits, above 0
    gap = tl.minimum(tl.floor(tl.log(uniform) * tl.load(scale)) + 1.0, most)
    tl.store(out + place, gap.to(tl.int64), mask=place < count)


@triton.jit
def _alone(found, first, none, keep, survivors, full, step, rows, count, SIZE: tl.constexpr):
    place = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    inside = place < count
    row = tl.load(found + place, mask=inside, other=0) - 1
    there = inside & (row < rows)
    kept = there & (tl.load(first + row, mask=there, other=0) == none)
    tl.store(found + place, tl.where(there, row, 0), mask=inside)
    tl.store(keep + place, kept.to(tl.int8), mask=inside)
    tl.atomic_add(survivors + tl.load(step), tl.sum(kept.to(tl.int64)))
    short = (place == count - 1) & (row < rows - 1)
    tl.atomic_add(full, tl.sum(short.to(tl.int64)))


def gap_scale(chance: float, device: torch.device) -> Tensor:
    """1 / log(1 - chance), float64 [1]: a kernel's own arguments have 32 bits. 0 where nothing is drawn."""
    return torch.tensor([1 / math.log1p(-chance) if 0 < chance < 1 else 0.0], dtype=torch.float64, device=device)


def false_rows(
    held: RowMap,
    places: int,
    chance: float,
    scale: Tensor,
    survivors: Tensor,
    *,
    key: Tensor,
    step: Tensor,
    full: Tensor,
) -> tuple[Tensor, Tensor]:
    """Untouched rows above the threshold at geometric distances, as `labkit.embeddings.false_survivors`, in a buffer of
    one fixed length.

    Args:
        held: the batch's rows, which are left out.
        places: length of the buffer (`labkit.embeddings.survivors.padded_false`), above 0.
        chance: Q(threshold), float64; scale: `gap_scale` of it.
        survivors: int64 [steps]; what is found is added at `step`.
        full: int64 [1], counts the steps whose rows did not fit: whoever trains must look at it.

    Returns:
        rows, int64 [places], and whether there is one.
    """
    rows, device = len(held.first), full.device
    blocks = (triton.cdiv(places, SIZE),)
    keep = torch.empty(places, dtype=torch.bool, device=device)
    gaps = torch.ones(places, dtype=torch.int64, device=device)
    with torch.cuda.device(device):
        if chance < 1:
            _gaps[blocks](gaps, key, step, scale, 2.0 * rows + 2, places, SIZE=SIZE)
        found = gaps.cumsum_(0)
        _alone[blocks](
            found, held.first, held.none, keep.view(torch.int8), survivors, full, step, rows, places, SIZE=SIZE
        )
    return found, keep
