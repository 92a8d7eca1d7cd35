"""Optimisers that stay sparse: only the rows named are read or written."""

from __future__ import annotations

import torch
from torch import Tensor

SGD, ADAGRAD = "sgd", "adagrad"
OPTIMIZERS = (SGD, ADAGRAD)
EPS = 1e-10


class Mover:
    """Moves a table's rows, or a whole buffer, against a gradient.

    SGD: w = w - rate g. Adagrad (Duchi et al. 2011), for each number: s = s + g^2, w = w - rate g / (sqrt(s) + 1e-10),
    as `torch.optim.Adagrad` does it, whose state here has one number for each of the table's.

    Args:
        weights: float32 [D, dim] or [n]; moved in place.
        rate: the learning rate; constant, since nothing else leaves delayed noise exact.
    """

    def __init__(self, weights: Tensor, optimizer: str, rate: float) -> None:
        self.weights, self.rate = weights, rate
        self.squares = torch.zeros_like(weights) if optimizer == ADAGRAD else None

    def rows(self, rows: Tensor, gradient: Tensor) -> None:
        """Move the rows, int64 [n] and distinct, by their gradients [n, dim]."""
        self.weights.index_add_(0, rows, self._change(rows, gradient), alpha=-self.rate)

    def all(self, gradient: Tensor) -> None:
        """Move everything by a gradient of the weights' shape, which may be overwritten."""
        if self.squares is not None:
            self.squares.addcmul_(gradient, gradient)
            self.weights.addcdiv_(gradient, self.squares.sqrt().add_(EPS), value=-self.rate)
        else:
            self.weights.add_(gradient, alpha=-self.rate)

    def _change(self, rows: Tensor, gradient: Tensor) -> Tensor:
        if self.squares is None:
            return gradient
        self.squares.index_add_(0, rows, gradient.square())
        return gradient / self.squares.index_select(0, rows).sqrt_().add_(EPS)
