"""One batch's gradients, kept apart by unit: which rows, how much, and how far each unit is clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.embeddings.tower import Tower
from labkit.population.clipping import SLACK_OF_SUMS, clip_factors


@dataclass(frozen=True)
class UnitGradients:
    """Gradients of the embedding rows that P units touch, S slots each, with the factor of each unit.

    Args:
        rows: int64 [P, S], the row of each slot; 0 where not real.
        real: bool [P, S].
        first: bool [P, S], the first slot of its row within the unit: one for each distinct row.
        slots: float32 [P, S, dim], zero where not real. A row used twice by a unit has a part of its gradient in each.
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
        distinct: whether no unit can use a row twice, which saves looking.
    """
    units, per_unit, slots = ids.shape
    flat, filled = ids.view(-1, slots), (ids >= 0).view(-1, slots)
    at = flat.clamp(min=0)
    embedded = table.index_select(0, at.view(-1)).view(*at.shape, -1)
    frozen = None
    if vectors is not None:
        words = vectors.index_select(0, at.view(-1)).view(*at.shape, -1).masked_fill(~filled[..., None], 0)
        frozen = words.sum(1) / filled.sum(1, keepdim=True).clamp(min=1)
    seen = tower.forward(embedded, filled, frozen)
    present = filled.any(1) & weight.bool().repeat_interleave(per_unit)
    error = (seen.logits.sigmoid() - labels.view(-1)).masked_fill(~present, 0)
    deltas, gradients = tower.backward(seen, error, filled)

    real = filled.view(units, -1)
    rows = at.view(units, -1)
    if compact is not None:
        rows = compact.index_select(0, rows.view(-1)).view_as(rows)
        real = real & (rows >= 0)
        rows = rows.clamp(min=0)
    real = real & weight.bool()[:, None]
    gradients = gradients.reshape(units, per_unit * slots, -1).masked_fill(~real[..., None], 0)
    if distinct:
        first, squares = real, gradients.square().sum((1, 2))
    else:
        first, squares = _repeated(rows, real, gradients)
    norms = (tower.squared_norms(seen, deltas, per_unit) + squares).sqrt()
    # Terms of a sum over many slots cancel, and what is left is less exact.
    slack = {"slack": SLACK_OF_SUMS} if per_unit > 1 or not distinct else {}
    factors, report = clip_factors(norms[None], clip, weight[None], torch.zeros_like(norms)[None], **slack)
    tower.add_sums(seen, deltas, factors[0].repeat_interleave(per_unit), out)
    return UnitGradients(
        rows, real, first, gradients, factors[0], weight, report.norms[0], report.clipped[0], report.dropped[0]
    )


def _repeated(rows: Tensor, real: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """First slots, and |sum of a row's slots|^2 added up over rows: the sum over pairs of slots with the same row."""
    same = (rows[:, :, None] == rows[:, None, :]) & (real[:, :, None] & real[:, None, :])
    earlier = same.tril(-1).any(2)
    pairs = torch.bmm(gradients, gradients.mT).masked_fill(~same, 0)
    return real & ~earlier, pairs.sum((1, 2)).clamp(min=0)
