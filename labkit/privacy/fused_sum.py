"""One CUDA kernel for a weighted sum of rows in a short float type: read once, multiplied and added in float32."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS, ROWS = 64, 64  # of the tile that a program holds; a leaf of 16 x 576 numbers then keeps 144 programs busy


@triton.jit
def _sum(rows, factors, out, count, size, COLUMNS: tl.constexpr, ROWS: tl.constexpr):
    at = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = at < size
    total = tl.zeros((COLUMNS,), dtype=tl.float32)
    for start in range(0, count, ROWS):
        row = start + tl.arange(0, ROWS)
        factor = tl.load(factors + row, mask=row < count, other=0.0)
        # A row with the factor 0 is not read: it may hold NaN, and 0 * NaN is NaN.
        wanted = (factor != 0.0)[:, None] & inside[None, :]
        values = tl.load(rows + row[:, None].to(tl.int64) * size + at[None, :], mask=wanted, other=0.0)
        total += tl.sum(values.to(tl.float32) * factor[:, None], axis=0)
    tl.store(out + at, tl.load(out + at, mask=inside, other=0.0) + total, mask=inside)


def add_weighted_rows(rows: Tensor, factors: Tensor, out: Tensor) -> None:
    """out = out + sum_i factors_i * rows_i.

    Args:
        rows: contiguous [b, D] of any float type; rows with the factor 0 may hold anything.
        factors: float32 [b].
        out: contiguous float32 [D].
    """
    count, size = rows.shape
    with torch.cuda.device(rows.device):
        _sum[(triton.cdiv(size, COLUMNS),)](rows, factors, out, count, size, COLUMNS=COLUMNS, ROWS=ROWS)
