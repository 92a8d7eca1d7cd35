"""Which layers of a module have per-example norms in closed form, and how a forward pass is tapped for them.

A tap is a tensor of zeros added to a layer's output; the gradient of an example's loss with respect to it is all that
is needed beside the layer's input. Every example runs alone, as a batch of one: what comes out is the gradient of its
own loss, also where a module mixes its batch or looks up parameters, such as positions, without a batch axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from labkit.population import norms, sums
from labkit.population.params import Params


class Layer(Protocol):
    """One kind of layer. `a` and `delta` are [K, B, ...]: recorded inputs and gradients at outputs, examples alone."""

    def record(self, x: Tensor) -> Tensor:
        """What must be kept of the layer's input."""

    def squares(self, a: Tensor, delta: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        """Squared norms [K, B] of the gradients of all its parameters, under masks of its weight and bias."""

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        """The gradients of `weight` and, where there is one, `bias`, added up over examples."""


@dataclass(frozen=True)
class Linear:
    """`nn.Linear`, over any number of positions."""

    layer: nn.Linear

    def record(self, x: Tensor) -> Tensor:
        return x.flatten(0, -2) if x.dim() > 1 else x.unsqueeze(0)

    def squares(self, a: Tensor, delta: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        delta = delta.reshape(*a.shape[:3], -1)
        if a.shape[2] == 1:
            total = norms.linear(a[:, :, 0], delta[:, :, 0], weight)
        else:
            total = norms.positions(a, delta, weight)
        return total if self.layer.bias is None else total + norms.bias(delta, bias)

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        delta = delta.reshape(*a.shape[:3], -1)
        found = {"weight": sums.linear(a, delta)}
        return found if self.layer.bias is None else found | {"bias": delta.sum((1, 2))}


@dataclass(frozen=True)
class Convolution:
    """`nn.Conv2d` without groups."""

    layer: nn.Conv2d

    @property
    def geometry(self) -> norms.Geometry:
        """How it walks over an image."""
        layer = self.layer
        return norms.Geometry(layer.kernel_size, layer.stride, layer.padding, layer.dilation)

    def record(self, x: Tensor) -> Tensor:
        return x.unsqueeze(0) if x.dim() == 3 else x

    def squares(self, a: Tensor, delta: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        delta = delta.reshape(*a.shape[:3], *delta.shape[-3:])  # an example may hold several images
        if a.shape[2] == 1:
            total = norms.convolution(a[:, :, 0], delta[:, :, 0], self.geometry, weight)
        else:
            rows = self.geometry.patches(a).flatten(2, 3)
            mask = None if weight is None else weight.flatten(2)
            total = norms.positions(rows, delta.flatten(4).transpose(3, 4).flatten(2, 3), mask)
        if self.layer.bias is None:
            return total
        return total + norms.bias(delta.flatten(4).transpose(3, 4).flatten(2, 3), bias)

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        delta = delta.reshape(*a.shape[:3], *delta.shape[-3:])
        found = {"weight": sums.convolution(a.flatten(1, 2), delta.flatten(1, 2), self.geometry)}
        return found if self.layer.bias is None else found | {"bias": delta.sum((1, 2, 4, 5))}


@dataclass(frozen=True)
class Embedding:
    """`nn.Embedding`; a padding row has no gradient."""

    layer: nn.Embedding

    def record(self, x: Tensor) -> Tensor:
        return x.flatten()

    def _kept(self, a: Tensor, delta: Tensor) -> Tensor:
        delta = delta.reshape(*a.shape, -1)
        padding = self.layer.padding_idx
        return delta if padding is None else delta.masked_fill((a == padding).unsqueeze(-1), 0)

    def squares(self, a: Tensor, delta: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        return norms.embedding(a, self._kept(a, delta), weight)

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        return {"weight": sums.embedding(a, self._kept(a, delta), self.layer.num_embeddings)}


@dataclass(frozen=True)
class Normalisation:
    """`nn.LayerNorm` or `nn.GroupNorm`: both scale and shift what they have normalised within one example."""

    layer: nn.LayerNorm | nn.GroupNorm

    def record(self, x: Tensor) -> Tensor:
        layer = self.layer
        if isinstance(layer, nn.GroupNorm):
            return F.group_norm(x, layer.num_groups, eps=layer.eps)
        return F.layer_norm(x, layer.normalized_shape, eps=layer.eps)

    def _rows(self, tensor: Tensor) -> Tensor:
        """[K, B, positions, parameters]."""
        if isinstance(self.layer, nn.GroupNorm):
            return tensor.flatten(4).transpose(3, 4).flatten(2, 3) if tensor.dim() > 4 else tensor
        return tensor.flatten(-len(self.layer.normalized_shape)).flatten(2, -2)

    def squares(self, a: Tensor, delta: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        a, delta = self._rows(a), self._rows(delta)
        flat, flat_bias = (None if mask is None else mask.flatten(1) for mask in (weight, bias))
        total = norms.affine(a, delta, flat)
        return total if self.layer.bias is None else total + norms.bias(delta, flat_bias)

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        a, delta = self._rows(a), self._rows(delta)
        shape = (len(delta), *self.layer.weight.shape)
        found = {"weight": (a * delta).sum((1, 2)).view(shape)}
        return found if self.layer.bias is None else found | {"bias": delta.sum((1, 2)).view(shape)}


def closed_form(layer: nn.Module) -> Layer | None:
    """The layer's formulas; None for a kind without them."""
    kind = type(layer)  # a subclass may compute anything
    if kind is nn.Linear:
        return Linear(layer)
    if kind is nn.Conv2d and layer.groups == 1 and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple):
        return Convolution(layer)
    if kind is nn.Embedding and layer.max_norm is None and not layer.scale_grad_by_freq:
        return Embedding(layer)
    return Normalisation(layer) if kind in (nn.LayerNorm, nn.GroupNorm) else None


def formulas(module: nn.Module) -> dict[str, Layer] | None:
    """The formulas of all layers that own parameters, by their names; None where some have none or share."""
    found: dict[str, Layer] = {}
    for name, layer in module.named_modules():
        if any(True for _ in layer.parameters(recurse=False)):
            form = closed_form(layer)
            if form is None:
                return None
            found[name] = form
    owned = sum(len(list(module.get_submodule(name).parameters(recurse=False))) for name in found)
    return found if owned == len(list(module.parameters())) else None


class _Uses(TorchFunctionMode):
    """Counts the torch functions that each of some tensors enters; asking for a shape, dtype or device is no use."""

    HARMLESS = frozenset(
        getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "is_cuda", "layout")
    ) | {Tensor.size, Tensor.dim, Tensor.numel, Tensor.is_floating_point}

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.names = {id(tensor): name for name, tensor in params.items()}
        self.counts: Counter[str] = Counter()

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if func not in self.HARMLESS:
            given = [*args, *(kwargs or {}).values()]
            flat = [t for value in given for t in (value if isinstance(value, list | tuple) else [value])]
            self.counts.update(self.names[id(t)] for t in flat if id(t) in self.names)
        return func(*args, **(kwargs or {}))


def tap_shapes(
    module: nn.Module, forms: Mapping[str, Layer], params: Params, example: Tensor
) -> dict[str, torch.Size] | None:
    """The output shape of each layer for one example, found by running it for one member.

    None where the formulas would miss a part of the gradient: a layer used twice, or a weight used outside its layer,
    as where an embedding's table is also the output layer's.

    Args:
        params: of one member, without the member axis.
        example: [1, ...].
    """
    shapes: dict[str, torch.Size] = {}
    calls: Counter[str] = Counter()

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        shapes[name] = output.shape
        calls[name] += 1
        return output

    own = {name: tensor.detach() for name, tensor in params.items()}
    with torch.no_grad(), hooked(module, forms, note), _Uses(own) as uses:
        functional_call(module, own, (example,))
    in_layers = all(name.rpartition(".")[0] in calls for name in uses.counts)
    once = all(count == 1 for count in (*uses.counts.values(), *calls.values()))
    return shapes if in_layers and once else None


@contextmanager
def hooked(module: nn.Module, names: Iterable[str], change: Callable[[str, Tensor, Tensor], Tensor]) -> Iterator[None]:
    """Inside the block a layer's output is change(name, input, output)."""

    def hook(name: str) -> Callable:
        def run(_: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
            return change(name, args[0] if args else next(iter(kwargs.values())), output)

        return run

    handles = [module.get_submodule(name).register_forward_hook(hook(name), with_kwargs=True) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
