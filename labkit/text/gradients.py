"""Per-unit gradients of adapters: what one protected unit, a pair or a document with some pairs, asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.text.language import Tokens, query_log_probs
from labkit.text.lora import Adapters


@dataclass(frozen=True)
class Examples:
    """The private pairs as a model reads them, on its device.

    Args:
        prompts: of all public documents, left-padded.
        queries: one for each pair, right-padded.
        documents: int64 [pairs], the prompt of each query.
        units: int64 [units, k], the pairs of each protected unit; -1 in empty places.
    """

    prompts: Tokens
    queries: Tokens
    documents: Tensor
    units: Tensor

    @property
    def per_unit(self) -> int:
        """k, the most pairs that a unit holds."""
        return self.units.shape[1]

    def pairs(self, units: Tensor) -> tuple[Tokens, Tokens, Tensor]:
        """Prompts and queries of some units, side by side, [units * k], and which of them are there."""
        rows = self.units[units].flatten()
        there, rows = rows >= 0, rows.clamp(min=0)
        return self.prompts.rows(self.documents[rows]), self.queries.rows(rows), there


def mean_token_loss(adapters: Adapters, prompts: Tokens, queries: Tokens) -> Tensor:
    """Each query's negative log-probability given its document, over its own number of tokens, float32 [b].

    A mean over the batch's tokens would make an example's gradient depend on its neighbours, beyond what clipping
    bounds.
    """
    return -query_log_probs(adapters.language, prompts, queries) / queries.mask.sum(1)


@torch.enable_grad()
def unit_gradients(adapters: Adapters, examples: Examples, units: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The gradient of each unit's summed loss with respect to every adapter.

    Args:
        units: int64 [b], rows of `examples.units`.

    Returns:
        gradients [b, out, in] by the adapter's name, in the model's dtype, and each unit's loss, float32 [b].
    """
    prompts, queries, there = examples.pairs(units)
    layers = adapters.layers
    for layer in layers.values():
        # A leaf without memory of its own: autograd needs something of this shape to give the gradients to.
        layer.copies = layer.weight.detach().expand(len(units), -1, -1).requires_grad_()
    try:
        losses = mean_token_loss(adapters, prompts, queries).where(there, 0).view(len(units), -1).sum(1)
        found = torch.autograd.grad(losses.sum(), [layer.copies for layer in layers.values()])
    finally:
        for layer in layers.values():
            layer.copies = None
    return dict(zip(layers, found, strict=True)), losses.detach()


@torch.enable_grad()
def summed_gradient(
    adapters: Adapters, examples: Examples, units: Tensor, weight: Tensor, out: Mapping[str, Tensor]
) -> Tensor:
    """out = out + the gradient of all units together: the cheap way, for plain training.

    Returns:
        each unit's loss, float32 [b].
    """
    prompts, queries, there = examples.pairs(units)
    losses = mean_token_loss(adapters, prompts, queries).where(there, 0).view(len(units), -1).sum(1)
    found = torch.autograd.grad((losses * weight).sum(), [layer.weight for layer in adapters.layers.values()])
    for name, gradient in zip(adapters.layers, found, strict=True):
        out[name].add_(gradient)
    return losses.detach()


@contextmanager
def compiled_layers(adapters: Adapters, backend: str = "inductor") -> Iterator[None]:
    """Let `torch.compile` fuse the model's repeated layers inside the block.

    One layer is compiled and serves for all: seconds, where a whole model takes a minute. Only for forward passes of
    one shape, as a training's are; a model that writes queries grows its cache token by token.
    """
    stack = max((m for m in adapters.model.modules() if isinstance(m, nn.ModuleList)), key=len)[1:]
    for layer in stack:  # not the first: its input needs no gradient, and it would be compiled for itself
        layer.forward = torch.compile(layer.forward, dynamic=False, backend=backend)
    try:
        yield
    finally:
        for layer in stack:
            del layer.forward
