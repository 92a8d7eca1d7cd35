"""Loss and accuracy of every member on a fixed set of examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.population.architecture import Architecture, expand_labels
from labkit.population.memory import chunk_size, chunks, evaluation_bytes
from labkit.population.params import Params, members, repeat, take
from labkit.population.precision import matmul_precision

BATCH = {"cpu": 512, "cuda": 4096}  # examples at once: on a GPU few large kernels beat many small ones
WORKING_SET = {"cpu": 32 << 20}  # bytes of activations at once: more would leave a CPU's cache


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy `loss` [K] and share of right answers `accuracy` [K], in float32, or float64 for float64.

    `recall` [K, classes] is the share of right answers among the examples of each class, 0 where there is none.
    """

    loss: Tensor
    accuracy: Tensor
    recall: Tensor


def default_batch(device: torch.device) -> int:
    """Examples that a member is evaluated on at once."""
    return BATCH.get(device.type, 512)


@torch.no_grad()
def evaluate(
    arch: Architecture,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    own: bool = False,
    batch: int | None = None,
    members_at_once: int | None = None,
    tf32: bool = False,
) -> Scores:
    """Scores of K members on all of x: [n, ...] shared by all, or [K, n, ...] where `own` says that each has its own.

    Members and examples are taken in pieces that fit in memory; the result does not depend on the pieces of members.
    """
    count = members(params)
    batch = min(batch or default_batch(x.device), y.shape[-1])
    if members_at_once is None:
        members_at_once = chunk_size(evaluation_bytes(arch, batch, element=x.element_size()), x.device, count=count)
        activations = x.element_size() * batch * arch.activation_numbers()
        at_most = WORKING_SET.get(x.device.type, count * activations) // activations
        members_at_once = min(members_at_once, max(at_most, 2))
    pieces = [
        _piece(arch, take(params, slice(r.start, r.stop)), x[r.start : r.stop] if own else x, y, own, batch, tf32)
        for r in chunks(count, members_at_once)
    ]
    return Scores(*(torch.cat([getattr(p, name) for p in pieces]) for name in ("loss", "accuracy", "recall")))


def _piece(arch: Architecture, params: Params, x: Tensor, y: Tensor, own: bool, batch: int, tf32: bool) -> Scores:
    count = members(params)
    lone = count == 1 and x.device.type == "cpu"  # as in `Trainer`: a batch of one runs other kernels
    if lone:
        params, x = repeat(params, 2), x.expand(2, *x.shape[1:]) if own else x
    loss = right = of_class = there = 0
    for rows in chunks(y.shape[-1], batch):
        piece = slice(rows.start, rows.stop)
        with matmul_precision(tf32):
            logits = arch.logits(params, x[:, piece] if own else x[piece])
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        labels = expand_labels(y[..., piece], logits.shape[0])
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)
        loss = loss + losses.sum(1)
        found = (logits.argmax(-1) == labels).to(losses.dtype)
        right = right + found.sum(1)
        classes = F.one_hot(y[..., piece], logits.shape[-1]).to(losses.dtype)
        of_class = of_class + found.unsqueeze(-2).matmul(classes).squeeze(-2)  # products of 0 and 1: exact
        there = there + classes.sum(-2)
    total = y.shape[-1]
    return Scores((loss / total)[:count], (right / total)[:count], (of_class / there.clamp(min=1))[:count])
