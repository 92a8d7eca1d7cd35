"""DP-direct: the encoder itself trained privately, with a loss that one unit's pairs and public documents decide."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from labkit.errors import BadInput
from labkit.privacy.per_example import clipped_sum
from labkit.retrieval.private import PrivateEncoder
from labkit.streams import stream


class PrivateDirect(PrivateEncoder):
    """DP-SGD on a loss that is a sum over units.

    A pair's loss is -log softmax of its own document's cosine / temperature among that document and `negatives` public
    documents, which each step draws by the seed alone; the own document is masked among them. So a unit's gradient
    depends on no other unit's pairs, and to clip it bounds all that the unit does. In-batch wrong answers would
    not: there each query's gradient changes with whoever else was drawn.

    The drawn documents' points are constants of a step; gradients pass through the query and its own document. That
    costs each unit two short texts instead of `negatives` long ones.

    Args:
        negatives: public documents that a step draws, 1 to all of them.
        rest: as for `PrivateEncoder`. One with a single pair may be in a unit of its own.

    Raises:
        BadInput: as there; more negatives than documents.
    """

    def __init__(self, *data: Any, negatives: int, **rest: Any) -> None:
        super().__init__(*data, **rest)
        if not 1 <= negatives <= len(self.d_ids):
            raise BadInput("negatives", negatives, f"1 to {len(self.d_ids)}, the documents")
        self.negatives = negatives

    def wrong(self, step: int) -> Tensor:
        """The public documents of step `step`, int64 [negatives] on the CPU."""
        return torch.randperm(len(self.d_ids), generator=stream(self.seed, "negatives", step))[: self.negatives]

    def _sum(self, units: Tensor) -> tuple[int, int]:
        if not len(units):
            return 0, 0
        rows = self.wrong(self.done)
        others, rows = self._points(rows), rows.to(self.device)
        counts = []
        for some in units.split(self.micro_batch):
            gradients = self.unit_gradients(some, others, rows)
            weight = torch.ones(len(some), device=self.device)
            found = clipped_sum(gradients, self.sums, clip=self.plan.clip_norm, weight=weight, fresh=False)
            counts.append(torch.stack([found.clipped, found.dropped]))
        clipped, dropped = torch.stack(counts).sum(0).tolist()
        return clipped, dropped

    def unit_gradients(self, units: Tensor, others: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The gradient of each unit's loss, [b, ...] by parameter name.

        Args:
            units: int64 [b] on the CPU.
            others, rows: the wrong answers' points [m, width] and row numbers [m].
        """
        pairs = self.unit_rows[units]
        real = pairs >= 0
        pairs = torch.where(real, pairs, pairs[:, :1])  # an empty place repeats the unit's own query, with weight 0
        own = self.documents_of[pairs[:, 0]]
        texts = (*self._queries(pairs), *self._documents(own), real.to(self.device), own.to(self.device))

        def loss(
            params: dict[str, Tensor], q_ids: Tensor, q_mask: Tensor, d_ids: Tensor, d_mask: Tensor, real: Tensor,
            own: Tensor,
        ) -> Tensor:  # fmt: skip
            query = functional_call(self.encoder, params, (q_ids, q_mask))
            document = functional_call(self.encoder, params, (d_ids.unsqueeze(0), d_mask.unsqueeze(0)))[0]
            right = query @ document / self.temperature
            wrong = (query @ others.T / self.temperature).masked_fill(rows == own, -math.inf)
            losses = torch.cat([right.unsqueeze(1), wrong], 1).logsumexp(1) - right
            return (losses * real).sum()

        return vmap(grad(loss), in_dims=(None, 0, 0, 0, 0, 0, 0))(self.params, *texts)

    def _points(self, rows: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([self.encoder(*self._documents(some)) for some in rows.split(max(64, self.micro_batch))])
