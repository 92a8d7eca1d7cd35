"""LazyDP: the noise of DP-SGD, drawn for a row only when the row is about to be read."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from labkit.embeddings.dense import weighted_slots
from labkit.embeddings.mechanism import Mechanism
from labkit.embeddings.noise import FLUSH, PENDING
from labkit.embeddings.rows import RowMap
from labkit.embeddings.unit_gradients import UnitGradients

AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 22}  # rows flushed at once


class LazyRows(Mechanism):
    """DP-SGD by delayed, aggregated noise (LazyDP, arXiv 2404.08847): equal in distribution, not in cost.

    A row that has not been noised for n steps owes noise of n steps, which under plain SGD with one learning rate is a
    single normal number of std sqrt(n) times as large. It is paid before the row is read, so that every gradient is
    taken where DP-SGD would take it, and for all rows by `flush`. Between two flushes the tables lack noise, and
    the delays say who was touched when: neither may be shown or released.
    """

    linear_only = True

    def prepare(self) -> None:
        device = self.mover.weights.device
        self.map = RowMap(self.rows, device)
        self.noised = torch.zeros(self.rows, dtype=torch.int32, device=device)  # steps whose noise a row has
        self.scale = self.mover.rate * self.deviation / self.plan.batch_size

    def before(self, rows: Tensor, step: Tensor, at: int) -> None:
        real = rows >= 0
        rows = rows.clamp(min=0)
        owner = self.map.claim(rows, real)
        owned = real & (owner == torch.arange(len(rows), device=rows.device))
        owed = (step.int() - self.noised.index_select(0, rows)).masked_fill(~owned, 0)
        self._pay(rows, owed, PENDING, at, step)
        self.noised.index_add_(0, rows, owed)
        self._distinct = owned.sum()
        self.map.release(rows)

    def _pay(self, rows: Tensor, owed: Tensor, purpose: str, at: int, step: Tensor | None = None) -> None:
        """Noise of `owed` steps on rows that owe any; `step`, where given, is `at` as a captured step reads it."""
        if rows.device.type == "cuda":
            from labkit.embeddings.fused_rows import pay  # Triton comes with PyTorch's CUDA builds alone

            step = torch.tensor([at], device=rows.device) if step is None else step
            pay(self.mover.weights, rows, owed, self.scale, key=self.noise.held[purpose], step=step)
            return
        due = owed.nonzero()[:, 0]
        noise = self.noise.normal(purpose, at, len(due), self.mover.weights.shape[1])
        noise.mul_(owed[due].float().sqrt_()[:, None])
        self.mover.weights.index_add_(0, rows[due], noise, alpha=-self.scale)

    def update(self, found: UnitGradients, step: Tensor, at: int) -> None:
        gradient = weighted_slots(found).div_(self.plan.batch_size)
        self.mover.weights.index_add_(0, found.rows.view(-1), gradient, alpha=-self.mover.rate)
        # As in DP-SGD every row is noised in the end; what a step writes is the touched rows alone.
        self.record(step, torch.full_like(step, self.rows), self._distinct)

    def flush(self, at: int) -> None:
        """Give every row the noise that it owes after `at` steps."""
        size = AT_ONCE[self.noised.device.type]
        stretches = -(-self.rows // size)
        for stretch in range(stretches):
            rows = torch.arange(stretch * size, min((stretch + 1) * size, self.rows), device=self.noised.device)
            owed = at - self.noised.index_select(0, rows)
            # A number of its own for each stretch and step: no two of them share noise.
            self._pay(rows, owed, FLUSH, at * stretches + stretch)
        self.noised.fill_(at)

    def state(self) -> dict[str, Tensor]:
        return {"noised": self.noised.detach().to("cpu", copy=True)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.noised.copy_(state["noised"])
