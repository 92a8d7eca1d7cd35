"""One batch's gradients, kept apart by unit: which rows, how much, and how far each unit is clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.embeddings.tower import Tower, bag_mean
from labkit.population.clipping import SLACK_OF_SUMS, clip_factors
from labkit.population.precision import matmul_precision


@dataclass(frozen=True)
class UnitGradients:
    """Gradients of the embedding rows that P units touch, S slots each, with the factor of each unit.

    Args:
        rows: int64 [P, S], the row of each slot; 0 where not real.
        real: bool [P, S].
        first: bool [P, S], the first slot of its row within the unit: one for each distinct row.
        slots: float32 [P, S, dim], zero where not real or its unit is padding. A row used twice by a unit has a part of
            its gradient in each.
        factors: float32 [P], min(1, clip / norm); 0 for padding and for units without a finite norm.
        weight: float32 [P], 1 for a real unit and 0 for padding.
        norms: float32 [P], before clipping.
        clipped, dropped: int64 [], units above the clip norm, and without a finite one; exact, so as private as they.
    """

    rows: Tensor
    real: Tensor
    first: Tensor
    slots: Tensor
    factors: Tensor
    weight: Tensor
    norms: Tensor
    clipped: Tensor
    dropped: Tensor


def unit_gradients(
    tower: Tower,
    table: Tensor,
    ids: Tensor,
    labels: Tensor,
    weight: Tensor,
    *,
    clip: Tensor,
    out: Mapping[str, Tensor],
    compact: Tensor | None = None,
    vectors: Tensor | None = None,
    distinct: bool = False,
    tf32: bool = False,
) -> UnitGradients:
    """Forward, backward, norms and factors; adds the clipped sum of the tower's own gradients to `out`.

    A unit's gradient is the sum over its examples of the gradient of the binary cross-entropy; its norm is taken over
    embedding rows and dense layers together. No tensor has the vocabulary among its axes but the tables themselves.

    Args:
        table: float32 [D, dim].
        ids: int64 [P, k, T], joint rows of k examples a unit; -1 in an empty slot, all -1 in an empty place.
        labels: float32 [P, k], 0 or 1.
        weight: float32 [P], 0 for padding.
        clip: float32 [1], the clip norm.
        compact: int64 [D], each row's place among those that are trained, -1 for the others; their gradient is dropped
            before the norm is taken. None where all are.
        vectors: float32 [D, E], frozen word vectors under a low-rank change.
        distinct: whether every unit is one example that fills all slots with different rows, which saves looking.
        tf32: whether forward and backward products may use TF32; norms, factors and sums never do.
    """
    units, per_unit, slots = ids.shape
    at = ids.view(-1, slots).clamp(min=0)
    there = weight.bool()
    # Where every slot is real, masks over [P, S, dim] would cost as much as the rest; padding has the factor 0 anyway.
    filled = None if distinct else (ids >= 0).view(-1, slots)
    embedded = table.index_select(0, at.view(-1)).view(*at.shape, -1)
    frozen = None if vectors is None else bag_mean(vectors, at, filled)
    present = there.repeat_interleave(per_unit) if distinct else filled.any(1) & there.repeat_interleave(per_unit)
    with matmul_precision(tf32):
        seen = tower.forward(embedded, filled, frozen)
        error = (seen.logits.sigmoid() - labels.view(-1)).masked_fill(~present, 0)
        deltas, gradients = tower.backward(seen, error, filled)

    rows, gradients = at.view(units, -1), gradients.reshape(units, per_unit * slots, -1)
    real = there[:, None].expand_as(rows) if distinct else filled.view(units, -1) & there[:, None]
    if compact is not None:
        rows = compact.index_select(0, rows.view(-1)).view_as(rows)
        real, rows = real & (rows >= 0), rows.clamp(min=0)
        gradients = gradients.masked_fill(~real[..., None], 0)
    if distinct:
        first, squares = real, torch.linalg.vector_norm(gradients.flatten(1), dim=1).square()
    else:
        gradients = gradients.masked_fill(~real[..., None], 0)
        first, squares = _repeated(rows, real, gradients)
    norms = (tower.squared_norms(seen, deltas, per_unit) + squares).sqrt()
    # Terms of a sum over many slots cancel, and what is left is less exact.
    slack = {"slack": SLACK_OF_SUMS} if per_unit > 1 or not distinct else {}
    factors, report = clip_factors(norms[None], clip, weight[None], torch.zeros_like(norms)[None], **slack)
    each = factors[0] if per_unit == 1 else factors[0].repeat_interleave(per_unit)
    tower.add_sums(seen, deltas, each, out)
    return UnitGradients(
        rows, real, first, gradients, factors[0], weight, report.norms[0], report.clipped[0], report.dropped[0]
    )


def _repeated(rows: Tensor, real: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """First slots, and |sum of a row's slots|^2 added up over rows: the sum over pairs of slots with the same row."""
    same = (rows[:, :, None] == rows[:, None, :]) & (real[:, :, None] & real[:, None, :])
    earlier = same.tril(-1).any(2)
    pairs = torch.bmm(gradients, gradients.mT).masked_fill(~same, 0)
    return real & ~earlier, pairs.sum((1, 2)).clamp(min=0)
