"""DP-SGD on every row of the tables, or on rows chosen before the training (DP-FEST)."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.embeddings.mechanism import Mechanism
from labkit.embeddings.noise import ROWS
from labkit.embeddings.unit_gradients import UnitGradients

PART = 1 << 28  # numbers that one kernel noises: its counters have 32 bits


class DenseRows(Mechanism):
    """Gaussian noise of std sigma C on each number of each active row, touched or not (Abadi et al. 2016).

    With rows chosen beforehand this is DP-FEST (arXiv 2311.08357, section 3.1): the others keep their initial values,
    and what a unit's gradient says of them is dropped before it is clipped.
    """

    def prepare(self) -> None:
        self.total = torch.zeros(self.rows, self.mover.weights.shape[1], device=self.mover.weights.device)

    def update(self, found: UnitGradients, step: Tensor, at: int) -> None:
        self.total.zero_()
        weighted = weighted_slots(found)
        self.total.index_add_(0, found.rows.view(-1), weighted)
        self._add_noise(step, at)
        self.record(step, torch.full_like(step, self.rows))
        self.total.div_(self.plan.batch_size)
        if self.active is None:
            self.mover.all(self.total)
        else:
            self.mover.rows(self.active, self.total)

    def _add_noise(self, step: Tensor, at: int) -> None:
        if not self.deviation:
            return
        if self.total.device.type == "cuda":
            from labkit.embeddings.fused_rows import add_normal  # Triton comes with PyTorch's CUDA builds alone

            flat, key = self.total.view(-1), self.noise.held[ROWS]
            for part, start in enumerate(range(0, len(flat), PART)):
                add_normal(flat[start : start + PART], self.deviation, key=key, step=step, part=part)
        else:
            self.total.add_(self.noise.normal(ROWS, at, *self.total.shape), alpha=self.deviation)


def weighted_slots(found: UnitGradients) -> Tensor:
    """factor_p * gradient of each slot, float32 [P S, dim]; a unit with the factor 0 adds exactly zero, NaN or not."""
    weighted = found.slots * found.factors[:, None, None]
    return weighted.masked_fill_((found.factors == 0)[:, None, None], 0).flatten(0, 1)
