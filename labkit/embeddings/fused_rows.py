"""CUDA kernels for embedding rows: noise made where it is used, and nothing read or written of a row that stays.

Normal numbers come from Philox by key, step and place, as in `labkit.privacy.fused_noise`; a row's by the row. Sums
over slots of one row are atomic: their order, and so their last bits, may differ from run to run.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from labkit.embeddings.optim import EPS, Mover
from labkit.embeddings.unit_gradients import UnitGradients
from labkit.privacy.fused_noise import BLOCK, _normals

SLOTS = 16  # that a program holds


@triton.jit
def _add(out, at, kept, z, deviation):
    tl.store(out + at, tl.load(out + at, mask=kept, other=0.0) + z * deviation, mask=kept)


@triton.jit
def _add_normal(out, key, step, deviation, size, part, SIZE: tl.constexpr):
    counter = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    a, b, c, d = _normals(tl.load(key), counter, tl.load(step).to(tl.int32), part)
    at = tl.program_id(0) * SIZE * 4 + tl.arange(0, SIZE)
    _add(out, at, at < size, a, deviation)
    _add(out, at + SIZE, at + SIZE < size, b, deviation)
    _add(out, at + 2 * SIZE, at + 2 * SIZE < size, c, deviation)
    _add(out, at + 3 * SIZE, at + 3 * SIZE < size, d, deviation)


def add_normal(out: Tensor, deviation: float, *, key: Tensor, step: Tensor, part: int) -> None:
    """out = out + deviation * z.

    Args:
        out: contiguous float32 [n], n below 2^31.
        key, step: int64 [1] on the device; z depends on them, the place and `part` alone.
    """
    with torch.cuda.device(out.device):
        _add_normal[(triton.cdiv(len(out), 4 * BLOCK),)](out, key, step, deviation, len(out), part, SIZE=BLOCK)


@triton.jit
def _add_slots(sums, owner, keep, real, slots, factors, count, per_unit, dim, SLOTS: tl.constexpr, WIDTH: tl.constexpr):
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)
    inside = slot < count
    place = tl.load(owner + slot, mask=inside, other=0).to(tl.int64)
    factor = tl.load(factors + slot // per_unit, mask=inside, other=0.0)
    wanted = inside & (tl.load(real + slot, mask=inside, other=0) != 0) & (factor != 0.0)
    wanted = wanted & (tl.load(keep + place, mask=wanted, other=0) != 0)
    if tl.sum(wanted.to(tl.int32)) > 0:
        column = tl.arange(0, WIDTH)
        read = wanted[:, None] & (column < dim)[None, :]
        values = tl.load(slots + slot[:, None].to(tl.int64) * dim + column[None, :], mask=read, other=0.0)
        tl.atomic_add(sums + place[:, None] * dim + column[None, :], values * factor[:, None], mask=read)


def add_slots(sums: Tensor, owner: Tensor, keep: Tensor, found: UnitGradients) -> None:
    """sums[owner of slot] += factor * gradient, for slots whose owner is kept.

    Args:
        sums: float32 [S, dim]; owner: int32 [S]; keep: bool [S], of owners.
    """
    count, dim = sums.shape
    with torch.cuda.device(sums.device):
        _add_slots[(triton.cdiv(count, SLOTS),)](
            sums, owner, keep.view(torch.int8), found.real.contiguous().view(-1).view(torch.int8),
            found.slots.contiguous(), found.factors.contiguous(), count, found.rows.shape[1], dim,
            SLOTS=SLOTS, WIDTH=triton.next_power_of_2(dim),
        )  # fmt: skip


@triton.jit
def _move_part(
    table, squares, sums, row, slot, kept, column, dim, z, deviation, batch, rate, eps,
    ADAGRAD: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    written = kept[:, None] & (column < dim)[None, :]
    change = z * deviation
    if SUMS:
        change = change + tl.load(sums + slot[:, None].to(tl.int64) * dim + column[None, :], mask=written, other=0.0)
    change = change / batch
    at = row[:, None] * dim + column[None, :]
    if ADAGRAD:
        square = tl.load(squares + at, mask=written, other=0.0) + change * change
        tl.store(squares + at, square, mask=written)
        change = change / (tl.sqrt(square) + eps)
    tl.store(table + at, tl.load(table + at, mask=written, other=0.0) - rate * change, mask=written)


@triton.jit
def _move_rows(
    table, squares, sums, rows, keep, key, step, deviation, batch, rate, eps, count, dim, quarter,
    ADAGRAD: tl.constexpr, SUMS: tl.constexpr, SLOTS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)
    kept = tl.load(keep + slot, mask=slot < count, other=0) != 0
    if tl.sum(kept.to(tl.int32)) > 0:
        row = tl.load(rows + slot, mask=kept, other=0)
        i = tl.arange(0, WIDTH)
        # By row and not by slot: whichever slot owns a row, its noise is the same.
        counter = row.to(tl.int32)[:, None] + tl.zeros((SLOTS, WIDTH), dtype=tl.int32)
        a, b, c, d = _normals(tl.load(key), counter, tl.load(step).to(tl.int32), i[None, :])
        end = tl.where(i < quarter, i, dim)
        _move_part(table, squares, sums, row, slot, kept, end, dim, a, deviation, batch, rate, eps, ADAGRAD, SUMS)
        end = tl.where(i < quarter, i + quarter, dim)
        _move_part(table, squares, sums, row, slot, kept, end, dim, b, deviation, batch, rate, eps, ADAGRAD, SUMS)
        end = tl.where(i < quarter, i + 2 * quarter, dim)
        _move_part(table, squares, sums, row, slot, kept, end, dim, c, deviation, batch, rate, eps, ADAGRAD, SUMS)
        end = tl.where(i < quarter, i + 3 * quarter, dim)
        _move_part(table, squares, sums, row, slot, kept, end, dim, d, deviation, batch, rate, eps, ADAGRAD, SUMS)


def move_rows(
    mover: Mover,
    rows: Tensor,
    keep: Tensor,
    sums: Tensor | None,
    deviation: float,
    batch: float,
    *,
    key: Tensor,
    step: Tensor,
) -> None:
    """Move kept rows against (sum + deviation * z) / batch, as the mover's optimiser does.

    Args:
        rows: int64 [S], below 2^31; the kept ones are distinct.
        keep: bool [S].
        sums: float32 [S, dim]; None for zero.
    """
    table, count = mover.weights, len(rows)
    dim = table.shape[1]
    quarter = -(-dim // 4)
    if not count:
        return
    with torch.cuda.device(table.device):
        _move_rows[(triton.cdiv(count, SLOTS),)](
            table, table if mover.squares is None else mover.squares, table if sums is None else sums, rows,
            keep.view(torch.int8), key, step, deviation, float(batch), mover.rate, EPS, count, dim, quarter,
            ADAGRAD=mover.squares is not None, SUMS=sums is not None, SLOTS=SLOTS,
            WIDTH=triton.next_power_of_2(quarter),
        )  # fmt: skip


@triton.jit
def _pay_part(table, row, due, column, dim, z, scale):
    written = (scale != 0.0)[:, None] & (column < dim)[None, :] & due[:, None]
    at = row[:, None] * dim + column[None, :]
    tl.store(table + at, tl.load(table + at, mask=written, other=0.0) - z * scale[:, None], mask=written)


@triton.jit
def _pay(table, rows, owed, key, step, scale, count, dim, quarter, SLOTS: tl.constexpr, WIDTH: tl.constexpr):
    slot = tl.program_id(0) * SLOTS + tl.arange(0, SLOTS)
    steps = tl.load(owed + slot, mask=slot < count, other=0)
    due = steps > 0
    if tl.sum(due.to(tl.int32)) > 0:
        row = tl.load(rows + slot, mask=due, other=0)
        each = tl.sqrt(steps.to(tl.float32)) * scale
        i = tl.arange(0, WIDTH)
        counter = row.to(tl.int32)[:, None] + tl.zeros((SLOTS, WIDTH), dtype=tl.int32)
        a, b, c, d = _normals(tl.load(key), counter, tl.load(step).to(tl.int32), i[None, :])
        _pay_part(table, row, due, tl.where(i < quarter, i, dim), dim, a, each)
        _pay_part(table, row, due, tl.where(i < quarter, i + quarter, dim), dim, b, each)
        _pay_part(table, row, due, tl.where(i < quarter, i + 2 * quarter, dim), dim, c, each)
        _pay_part(table, row, due, tl.where(i < quarter, i + 3 * quarter, dim), dim, d, each)


def pay(table: Tensor, rows: Tensor, owed: Tensor, scale: float, *, key: Tensor, step: Tensor) -> None:
    """table[row] -= scale * sqrt(owed) * z, where anything is owed.

    Args:
        rows: int64 [S]; those that owe are distinct.
        owed: int32 [S], steps of noise.
    """
    quarter = -(-table.shape[1] // 4)
    with torch.cuda.device(table.device):
        _pay[(triton.cdiv(len(rows), SLOTS),)](
            table, rows, owed, key, step, scale, len(rows), table.shape[1], quarter,
            SLOTS=SLOTS, WIDTH=triton.next_power_of_2(quarter),
        )  # fmt: skip
