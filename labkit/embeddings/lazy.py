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

AT_ONCE = 1 << 16  # rows flushed at once


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
        if rows.device.type == "cuda":
            from labkit.embeddings.fused_rows import pay

            pay(self.mover.weights, rows, owed, self.scale, key=self.noise.held[PENDING], step=step)
        else:
            self._pay(rows, owed, PENDING, at)
        self.noised.index_add_(0, rows, owed)
        self._distinct = owned.sum()
        self.map.release(rows)

    def _pay(self, rows: Tensor, owed: Tensor, purpose: str, at: int) -> None:
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
        for start in range(0, self.rows, AT_ONCE):
            rows = torch.arange(start, min(start + AT_ONCE, self.rows), device=self.noised.device)
            owed = at - self.noised.index_select(0, rows)
            if rows.device.type == "cuda":
                from labkit.embeddings.fused_rows import pay

                step = torch.tensor([at], device=rows.device)
                pay(self.mover.weights, rows, owed, self.scale, key=self.noise.held[FLUSH], step=step, part=start)
            else:
                # A part of its own for each stretch of rows: two stretches never share numbers.
                self._pay_stretch(rows, owed, at, start // AT_ONCE)
        self.noised.fill_(at)

    def _pay_stretch(self, rows: Tensor, owed: Tensor, at: int, stretch: int) -> None:
        stretches = -(-self.rows // AT_ONCE)
        self._pay(rows, owed, FLUSH, at * stretches + stretch)

    def state(self) -> dict[str, Tensor]:
        return {"noised": self.noised.detach().to("cpu", copy=True)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.noised.copy_(state["noised"])
