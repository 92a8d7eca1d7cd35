"""Optimisers over a stack: each member has its own learning rate and weight decay, as in `torch.optim`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.population.architecture import Architecture
from labkit.population.params import Flat, Params


def per_member(value: float | Sequence[float] | Tensor, like: Tensor) -> Tensor:
    """A number, or one for each member, as a tensor [K] of `like`'s dtype and device."""
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return tensor.expand(like.shape[0]).clone()


def _along_members(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *([1] * (like.dim() - 1)))


class _Stacked:
    """What both optimisers share: learning rates, weight decays and masks."""

    def __init__(self, weights: Flat, learning_rate: Tensor, weight_decay: Tensor, masks: Params | None) -> None:
        self.weights, self.learning_rate, self.weight_decay = weights, learning_rate, weight_decay
        self.decays = bool((weight_decay > 0).any())
        self.mask: Tensor | None = None
        if masks:
            kept = Flat.of({n: masks[n] if n in masks else torch.ones_like(w) for n, w in weights.views.items()})
            self.mask = kept.data.to(weights.data.dtype)
            weights.data.mul_(self.mask)

    def state(self) -> dict[str, Tensor]:
        """The buffers a resumed run needs, by name (no copies)."""
        return {"weights": self.weights.data}


class _MomentumSGD(_Stacked):
    """v = momentum * v + lr * (gradient + decay * w); w = w - v.

    `torch.optim.SGD` keeps v / lr instead, which is the same for a constant rate; with the rate inside, the
    gradient's product writes the velocity directly, and one kernel over all parameters ends the step.
    """

    def __init__(self, momentum: float, *rest: object) -> None:
        super().__init__(*rest)
        self.momentum = momentum
        self.velocity = Flat.of({name: torch.zeros_like(w) for name, w in self.weights.views.items()})

    def step(self, arch: Architecture, x: Tensor, y: Tensor) -> Tensor:
        loss = arch.accumulate(
            self.weights.views, x, y, self.velocity.views, decay=self.momentum, scale=self.learning_rate
        )
        if self.decays:
            rate = self.learning_rate * self.weight_decay
            for name, weight in self.weights.views.items():
                self.velocity.views[name].addcmul_(weight, _along_members(rate, weight))
        if self.mask is not None:
            self.velocity.data.mul_(self.mask)
        self.weights.data.sub_(self.velocity.data)
        return loss

    def state(self) -> dict[str, Tensor]:
        return super().state() | {"velocity": self.velocity.data}


class _AdamState(_Stacked):
    """Kingma and Ba 2015 (1412.6980), with L2 weight decay as `torch.optim.Adam` applies it."""

    def __init__(self, betas: tuple[float, float], eps: float, *rest: object) -> None:
        super().__init__(*rest)
        self.betas, self.eps = betas, eps
        like = {name: torch.zeros_like(w) for name, w in self.weights.views.items()}
        self.gradient, self.first, self.second = Flat.of(like), Flat.of(like), Flat.of(like)
        self.count = torch.zeros((), dtype=self.weights.data.dtype, device=self.weights.data.device)
        self.one = torch.ones_like(self.learning_rate)

    def step(self, arch: Architecture, x: Tensor, y: Tensor) -> Tensor:
        loss = arch.accumulate(self.weights.views, x, y, self.gradient.views, decay=0.0, scale=self.one)
        if self.decays:
            for name, weight in self.weights.views.items():
                self.gradient.views[name].addcmul_(weight, _along_members(self.weight_decay, weight))
        if self.mask is not None:
            self.gradient.data.mul_(self.mask)
        self.count.add_(1)
        beta1, beta2 = self.betas
        self.first.data.lerp_(self.gradient.data, 1 - beta1)
        self.second.data.mul_(beta2).addcmul_(self.gradient.data, self.gradient.data, value=1 - beta2)
        correction1, correction2 = 1 - beta1**self.count, 1 - beta2**self.count
        update = self.second.data.sqrt().div_(correction2.sqrt()).add_(self.eps)
        torch.div(self.first.data, update, out=self.gradient.data)
        for name, weight in self.weights.views.items():
            weight.addcmul_(self.gradient.views[name], _along_members(-self.learning_rate / correction1, weight))
        return loss

    def state(self) -> dict[str, Tensor]:
        return super().state() | {"first": self.first.data, "second": self.second.data, "count": self.count}


Optimiser = _MomentumSGD | _AdamState


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Args:
        learning_rate, weight_decay: a number, or one for each member.
    """

    learning_rate: float | Sequence[float] = 0.1
    momentum: float = 0.9
    weight_decay: float | Sequence[float] = 0.0
    buffers = 1  # numbers per weight beside the weight itself

    def bind(self, params: Params, masks: Params | None = None) -> Optimiser:
        """The optimiser's state for a copy of these parameters."""
        first = next(iter(params.values()))
        rates = per_member(self.learning_rate, first), per_member(self.weight_decay, first)
        return _MomentumSGD(self.momentum, Flat.of(params), *rates, masks)


@dataclass(frozen=True)
class Adam:
    """Adam; arguments as for `SGD`."""

    learning_rate: float | Sequence[float] = 1e-3
    weight_decay: float | Sequence[float] = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    buffers = 3

    def bind(self, params: Params, masks: Params | None = None) -> Optimiser:
        first = next(iter(params.values()))
        rates = per_member(self.learning_rate, first), per_member(self.weight_decay, first)
        return _AdamState(self.betas, self.eps, Flat.of(params), *rates, masks)
