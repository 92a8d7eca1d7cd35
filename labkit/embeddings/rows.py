"""Which slots of a batch share a row, without sorting: every row knows the first slot that holds it."""

from __future__ import annotations

import torch
from torch import Tensor


class RowMap:
    """A number for each row of the tables: the lowest slot of the present batch that holds it.

    Four bytes a row, 1.6 % of a table of 64 numbers a row. The lowest slot does not depend on the order in which a
    device writes, so a GPU gives the same owners each time.

    Args:
        rows: D.
    """

    def __init__(self, rows: int, device: torch.device | str) -> None:
        self.none = torch.iinfo(torch.int32).max
        self.first = torch.full((rows,), self.none, dtype=torch.int32, device=device)

    def claim(self, rows: Tensor, real: Tensor) -> Tensor:
        """The owner of each slot: the lowest real slot with the same row; int64 [S]. Meaningless where not real.

        Args:
            rows: int64 [S].
            real: bool [S].
        """
        places = torch.arange(len(rows), dtype=torch.int32, device=rows.device).masked_fill(~real, self.none)
        self.first.scatter_reduce_(0, rows, places, "amin")
        return self.first.index_select(0, rows).long().clamp(max=len(rows) - 1)

    def holds(self, rows: Tensor) -> Tensor:
        """Whether a slot of the present batch holds each of these rows."""
        return self.first.index_select(0, rows) != self.none

    def release(self, rows: Tensor) -> None:
        """Forget the present batch, whose rows these are."""
        self.first.index_fill_(0, rows, self.none)
