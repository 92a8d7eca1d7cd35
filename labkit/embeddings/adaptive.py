"""DP-AdaFEST: a noisy contribution map chooses, in every step, the rows that are noised and moved."""

from __future__ import annotations

import math

import torch
from scipy.special import ndtr
from torch import Tensor

from labkit.embeddings.false_survivors import false_survivors
from labkit.embeddings.mechanism import L1, Mechanism
from labkit.embeddings.noise import MAP, PLACES, ROWS
from labkit.embeddings.rows import RowMap
from labkit.embeddings.survivors import padded_false
from labkit.embeddings.unit_gradients import UnitGradients
from labkit.errors import BadInput, LabError
from labkit.population.clipping import SLACK


class AdaptiveRows(Mechanism):
    """DP-AdaFEST (arXiv 2311.08357, algorithm 1); inside rows chosen beforehand, DP-AdaFEST+.

    Each unit's map has a 1 for each row that it touches, over all features, clipped to C1. The sum of the maps gets
    noise of std sigma C1 / sqrt(f); rows at or above the threshold survive; their clipped gradient sum gets noise of
    std sigma C2 / sqrt(1 - f); all others stay as they are. Both answers together are one Gaussian mechanism of noise
    multiplier sigma, since f / sigma^2 + (1 - f) / sigma^2 = 1 / sigma^2.

    Rows that nobody touched are not noised one by one: `false_survivors` finds those that would have survived.
    """

    def prepare(self) -> None:
        f, method = self.method.selection_fraction, self.method
        if not 0 < f < 1:
            raise BadInput("selection_fraction", f, "a number in (0, 1): both noises need a share of the budget")
        if not self.plan.private:
            raise BadInput("method", method.name, "dpsgd where there is no noise: nothing to be chosen by")
        device = self.mover.weights.device
        self.map_deviation = self.plan.noise_multiplier * method.map_clip / math.sqrt(f)
        self.deviation = self.plan.noise_multiplier * self.plan.sensitivity / math.sqrt(1 - f)
        self.limit = method.threshold * self.map_deviation
        self.chance = float(ndtr(-method.threshold))
        self.map = RowMap(self.rows, device)
        self.overflow = torch.zeros(1, dtype=torch.int64, device=device)
        if device.type == "cuda":
            from labkit.embeddings.fused_selection import gap_scale  # Triton comes with PyTorch's CUDA builds alone

            self.scale, self.places = gap_scale(self.chance, device), padded_false(self.rows, method.threshold)

    def update(self, found: UnitGradients, step: Tensor, at: int) -> None:
        if found.rows.device.type == "cuda":
            self._update_fused(found, step)
        else:
            self._update(found, step, at)

    def check(self) -> None:
        if int(self.overflow):
            raise LabError(
                f"{int(self.overflow)} steps had more rows above the threshold than {self.places} places hold,"
                " which happens once in 10^20 steps: their noise is not what the plan says, and nothing may be released"
            )

    def _update(self, found: UnitGradients, step: Tensor, at: int) -> None:
        """On the CPU only survivors cost anything."""
        rows, real = found.rows.view(-1), found.real.reshape(-1)
        owner = self.map.claim(rows, real)
        votes = torch.zeros(len(rows))
        votes.index_add_(0, owner, contributions(found, self.method.map_clip, self.method.map_norm).view(-1))
        votes.add_(self.noise.normal(MAP, at, len(rows)), alpha=self.map_deviation)
        owned = real & (owner == torch.arange(len(rows)))
        keep = owned & (votes >= self.limit)
        wanted = (keep[owner] & real).nonzero()[:, 0]
        owners, place = owner[wanted].unique(return_inverse=True)
        sums = torch.zeros(len(owners), found.slots.shape[-1])
        units = wanted // found.rows.shape[1]
        kept_slots = found.slots.flatten(0, 1)[wanted] * found.factors[units, None]
        sums.index_add_(0, place, kept_slots.masked_fill_((found.factors[units] == 0)[:, None], 0))
        lone = torch.from_numpy(false_survivors(self.rows, self.chance, self.noise.generator(PLACES, at)))
        lone = lone[~self.map.holds(lone)]
        survivors = torch.cat([rows[owners], lone])
        sums = torch.cat([sums, torch.zeros(len(lone), sums.shape[1])])
        sums.add_(self.noise.normal(ROWS, at, *sums.shape), alpha=self.deviation)
        self.mover.rows(self.joint(survivors), sums.div_(self.plan.batch_size))
        self.record(step, torch.tensor(len(survivors)), owned.sum())
        self.map.release(rows)

    def _update_fused(self, found: UnitGradients, step: Tensor) -> None:
        """On CUDA every shape is fixed, so that the step can be captured; slots that do not survive are not read."""
        from labkit.embeddings import fused_rows, fused_selection

        held, dim, batch = self.noise.held, found.slots.shape[-1], self.plan.batch_size
        rows = found.rows.reshape(-1)
        counts = self.survivors, self.touched
        owner, keep = fused_selection.select(
            self.map, found, counts, map_clip=self.method.map_clip, l1=self.method.map_norm == L1,
            deviation=self.map_deviation, limit=self.limit, key=held[MAP], step=step,
        )  # fmt: skip
        sums = torch.zeros(len(rows), dim, device=rows.device)
        fused_rows.add_slots(sums, owner, keep, found)
        move = {"key": held[ROWS], "step": step}
        fused_rows.move_rows(self.mover, self.joint(rows), keep, sums, self.deviation, batch, **move)
        if self.places:
            lone, alone = fused_selection.false_rows(
                self.map, self.places, self.chance, self.scale, counts[0], key=held[PLACES], step=step,
                full=self.overflow,
            )  # fmt: skip
            fused_rows.move_rows(self.mover, self.joint(lone), alone, None, self.deviation, batch, **move)
        fused_selection.release(self.map, found)


def contributions(found: UnitGradients, map_clip: float, map_norm: str) -> Tensor:
    """What each slot adds to the contribution map, float32 [P, S]: min(1, C1 / norm) at a unit's first slot of each
    row, whose norm over m distinct rows is sqrt(m) in L2 and m in L1."""
    distinct = found.first.sum(1).clamp(min=1).float()
    norm = distinct if map_norm == L1 else distinct.sqrt()
    # Below the clip norm by a few rounding units, as for gradients.
    factor = (map_clip / (norm * (1 + SLACK * torch.finfo(norm.dtype).eps))).clamp(max=1)
    return found.first * (factor * found.weight)[:, None]
