"""Logit-DP (2310.03104): the encoder trained privately with the in-batch loss, each similarity's gradient clipped."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap

from labkit.errors import BadInput
from labkit.population.clipping import SLACK_OF_SUMS
from labkit.retrieval.private import PrivateEncoder
from labkit.streams import stream


def sensitivity(B: float, T: float, n: int | None = None) -> float:
    """How far one pair, added to or removed from a batch, can move the sum of `PrivateLogit`, in L2.

    With e = exp(2 / T), the largest ratio of two cosines' weights, a batch of n pairs, the new one included, gives
    2 B ((n - 1) e / (e + n - 1) + (n - 1) e / ((n - 1) e + 1)): the first part is what the new document takes from the
    n - 1 other queries' softmax and what it gets, the second the new query's own row. It rises with n to 2 B (e + 1).

    Args:
        B: the bound of each similarity's gradient.
        T: the temperature, above 0.
        n: the batch; None for the bound of every batch, which a Poisson draw needs.
    """
    e = math.exp(2 / T)
    if n is None:
        return 2 * B * (e + 1)
    return 2 * B * ((n - 1) * e / (e + n - 1) + (n - 1) * e / ((n - 1) * e + 1))


class PrivateLogit(PrivateEncoder):
    """DP-SGD on the in-batch softmax, as far as it can be had.

    The batch's gradient is sum_ij w_ij * gradient(S_ij / T) with S_ij the cosine of query i and document j and w the
    softmax over j minus the right answer. Each gradient(S_ij / T), T included, depends on two records and is clipped to
    B; the weights depend on all, but one record moves them by a bounded amount. The plan's clip norm is the resulting
    sensitivity 2 B (exp(2 / T) + 1) of the sum; B follows from it.

    Nothing is masked. Two pairs of one document give a query two columns that are equal, so both are its right answer
    and none of them pushes it away; to leave a column out would shorten the softmax, and with many pairs of one
    document a new pair would then move every one of their rows: the bound would not hold.

    A unit with several pairs takes part with one of them, chosen anew in each step by the seed and the unit alone.

    `clipped` counts similarities, not units; `dropped` counts pairs without a finite point, which take no part.

    Args:
        data, rest: as for `PrivateEncoder`; `micro_batch` counts similarities.

    Raises:
        BadInput: as there; a temperature below 1, where only very small batches have a bound that is of use, and
            Poisson's have no fixed size.
    """

    def __init__(self, *data: Any, **rest: Any) -> None:
        super().__init__(*data, **rest)
        if self.temperature < 1:
            raise BadInput("temperature", self.temperature, "at least 1 for Logit-DP: its noise grows with exp(2 / T)")
        self.bound = self.plan.clip_norm / sensitivity(1.0, self.temperature)

    def chosen(self, step: int, units: Tensor) -> Tensor:
        """The pair with which each unit takes part in step `step`, int64 [b] on the CPU."""
        pairs = self.unit_rows[units]
        count = (pairs >= 0).sum(1)
        draw = torch.rand(len(self.unit_rows), generator=stream(self.seed, "pair of a unit", step), dtype=torch.float64)
        place = (draw[units] * count).long().clamp(max=count - 1)
        filled = torch.argsort((pairs < 0).int(), dim=1, stable=True)
        return pairs.gather(1, filled.gather(1, place.unsqueeze(1))).squeeze(1)

    def _sum(self, units: Tensor) -> tuple[int, int]:
        pairs = self.chosen(self.done, units)
        with torch.no_grad():
            finite = self._finite(pairs)
        pairs, dropped = pairs[finite], int((~finite).sum())
        if len(pairs) < 2:  # one pair alone has its softmax for itself: weight 0
            return 0, dropped
        queries, documents = self._queries(pairs), self._documents(self.documents_of[pairs])
        with torch.no_grad():
            q, d = self._points(queries), self._points(documents)
            weights = (q @ d.T / self.temperature).softmax(1) - torch.eye(len(pairs), device=self.device)
        norms = self.norms(queries, documents)
        enlarged = norms * (1 + SLACK_OF_SUMS * torch.finfo(norms.dtype).eps)
        factors = weights * (self.bound / enlarged).clamp(max=1)
        self._add(queries, factors @ d)
        self._add(documents, factors.T @ q)
        return int((norms > self.bound).sum()), dropped

    def _finite(self, pairs: Tensor) -> Tensor:
        """Which pairs have finite points, bool [b] on the CPU; another one would make NaN of everybody's softmax."""
        if not len(pairs):
            return torch.ones(0, dtype=torch.bool)
        points = self._points(self._queries(pairs)) + self._points(self._documents(self.documents_of[pairs]))
        return torch.isfinite(points).all(1).cpu()

    def norms(self, queries: tuple[Tensor, Tensor], documents: tuple[Tensor, Tensor]) -> Tensor:
        """|gradient of S_ij / T| over all weights, float32 [b, b]; each argument is ids and mask [b, T]."""

        def norm(params: dict[str, Tensor], *texts: Tensor) -> Tensor:
            gradient = grad(self._similarity)(params, *texts)
            return sum(part.square().sum() for part in gradient.values()).sqrt()

        across = vmap(norm, in_dims=(None, None, None, 0, 0))
        every = vmap(across, in_dims=(None, 0, 0, None, None))
        many = max(1, self.micro_batch // len(queries[0]))
        rows = zip(*(part.split(many) for part in queries), strict=True)
        return torch.cat([every(self.params, *row, *documents) for row in rows])

    def _similarity(
        self, params: dict[str, Tensor], q_ids: Tensor, q_mask: Tensor, d_ids: Tensor, d_mask: Tensor
    ) -> Tensor:
        query = functional_call(self.encoder, params, (q_ids.unsqueeze(0), q_mask.unsqueeze(0)))
        document = functional_call(self.encoder, params, (d_ids.unsqueeze(0), d_mask.unsqueeze(0)))
        return (query * document).sum() / self.temperature

    def _add(self, texts: tuple[Tensor, Tensor], toward: Tensor) -> None:
        """sums += gradient of sum_i point_i . toward_i / T, for the texts' points alone."""
        for ids, mask, along in zip(*(t.split(256) for t in (*texts, toward)), strict=True):
            total = (self.encoder(ids, mask) * along).sum() / self.temperature
            found = torch.autograd.grad(total, list(self.encoder.parameters()))
            for out, part in zip(self.sums.values(), found, strict=True):
                out.add_(part)

    def _points(self, texts: tuple[Tensor, Tensor]) -> Tensor:
        return torch.cat([self.encoder(ids, mask) for ids, mask in zip(*(t.split(256) for t in texts), strict=True)])
