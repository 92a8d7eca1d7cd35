"""Gradients of a whole stack by one automatic backward pass, for architectures without a closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.population.architecture import expand_labels
from labkit.population.params import Params


def row_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each member on each example, [K, B], from logits [K, B, classes] and labels [B] or [K, B]."""
    labels = expand_labels(y, logits.shape[0])
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def member_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of each member, [K]; arguments as `row_losses`."""
    return row_losses(logits, y).mean(1)


def accumulate_by_autograd(
    logits: Callable[[Params, Tensor], Tensor],
    params: Params,
    x: Tensor,
    y: Tensor,
    out: Params,
    *,
    decay: float,
    scale: Tensor,
) -> Tensor:
    """`Architecture.accumulate` by differentiating the scaled sum of the members' losses.

    Members share no parameter, so the gradient of the sum holds every member's own gradient.
    """
    with torch.enable_grad():
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in params.items()}
        loss = member_losses(logits(leaves, x), y)
        gradients = torch.autograd.grad((loss * scale).sum(), list(leaves.values()))
    for name, gradient in zip(leaves, gradients, strict=True):
        out[name].mul_(decay).add_(gradient)
    return loss.detach()
