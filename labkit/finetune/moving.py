"""Per-example gradients of the layers that move: their squared norms and their clipped sums, for some rows or for all.

`a` is what a layer was given, [K, B, ...], and `delta` the gradient of each example's loss at its output, [K, B, ...].
No function holds the gradients of a whole batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.finetune.absolute import absolute_convolution, absolute_linear
from labkit.finetune.network import FrozenNorm
from labkit.population import norms, sums
from labkit.population.params import Params


class Moving(Protocol):
    """One layer of which something moves: `weight` and `bias` say what."""

    weight: bool
    bias: bool

    def record(self, x: Tensor) -> Tensor:
        """What must be kept of the layer's input [B, ...]."""

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        """Squared norms [K, B] of the gradients of what moves."""

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        """Gradients of what moves, added up over examples: `weight` and `bias`, each [K, ...]."""

    def absolutes(self, a: Tensor, delta: Tensor) -> Params:
        """Absolute values of the gradients of `weight`, added up over examples."""


@dataclass(frozen=True)
class Rows:
    """The rows of a weight that move: int64 [K or 1, r], or None for all."""

    index: Tensor | None

    def of(self, delta: Tensor, axis: int = 2) -> Tensor:
        """The outputs that belong to them, along `axis` of [K, B, ...]."""
        if self.index is None:
            return delta
        if len(self.index) == 1:
            return delta.index_select(axis, self.index[0])
        shape = [1] * delta.dim()
        shape[0], shape[axis] = self.index.shape
        wanted = list(delta.shape)
        wanted[axis] = self.index.shape[1]
        return delta.gather(axis, self.index.view(shape).expand(wanted))


@dataclass(frozen=True)
class MovingLinear:
    """`nn.Linear` on [B, in], or [B, T, in] with T positions."""

    layer: nn.Linear
    weight: bool
    bias: bool
    rows: Rows = field(default_factory=lambda: Rows(None))

    def record(self, x: Tensor) -> Tensor:
        return x

    def _norm(self, a: Tensor, delta: Tensor) -> Tensor:
        return norms.linear(a, delta) if a.dim() == 3 else norms.positions(a, delta)

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        total = delta.new_zeros(delta.shape[:2])
        if self.weight:
            total = total + self._norm(a, self.rows.of(delta, -1))
        return total + norms.bias(delta) if self.bias else total

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        found = {"weight": sums.linear(a, self.rows.of(delta, -1))} if self.weight else {}
        return found | ({"bias": delta.flatten(1, -2).sum(1)} if self.bias else {})

    def absolutes(self, a: Tensor, delta: Tensor) -> Params:
        return {"weight": absolute_linear(a, self.rows.of(delta, -1))}


@dataclass(frozen=True)
class MovingConvolution:
    """`nn.Conv2d` on images [B, C, h, w]: without groups, or depthwise with one filter for each channel."""

    layer: nn.Conv2d
    weight: bool
    bias: bool
    rows: Rows = field(default_factory=lambda: Rows(None))

    @property
    def geometry(self) -> norms.Geometry:
        """How it walks over an image."""
        layer = self.layer
        return norms.Geometry(layer.kernel_size, layer.stride, layer.padding, layer.dilation)

    @property
    def depthwise(self) -> bool:
        return self.layer.groups > 1

    def record(self, x: Tensor) -> Tensor:
        return x

    def _apart(self, a: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
        """A depthwise convolution as one network for each channel: [K * r, B, 1, h, w] each."""
        a, delta = self.rows.of(a), self.rows.of(delta)
        return tuple(t.transpose(1, 2).flatten(0, 1).unsqueeze(2) for t in (a, delta))

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        count, total = len(delta), delta.new_zeros(delta.shape[:2])
        if self.weight and self.depthwise:
            each = norms.convolution(*self._apart(a, delta), self.geometry)
            total = total + each.view(count, -1, each.shape[1]).sum(1)
        elif self.weight:
            total = total + norms.convolution(a, self.rows.of(delta), self.geometry)
        return total + norms.bias(delta.flatten(3).transpose(2, 3)) if self.bias else total

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        found = {}
        if self.weight and self.depthwise:
            each = sums.convolution(*self._apart(a, delta), self.geometry)
            found["weight"] = each.view(len(delta), -1, *each.shape[2:])
        elif self.weight:
            found["weight"] = sums.convolution(a, self.rows.of(delta), self.geometry)
        return found | ({"bias": delta.sum((1, 3, 4))} if self.bias else {})

    def absolutes(self, a: Tensor, delta: Tensor) -> Params:
        if self.depthwise:
            each = absolute_convolution(*self._apart(a, delta), self.geometry)
            return {"weight": each.view(len(delta), -1, *each.shape[2:])}
        return {"weight": absolute_convolution(a, self.rows.of(delta), self.geometry)}


@dataclass(frozen=True)
class MovingNorm:
    """Scale and shift of a normalisation that treats each example alone: `FrozenNorm`, `nn.LayerNorm`."""

    layer: FrozenNorm | nn.LayerNorm
    weight: bool
    bias: bool

    def record(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, FrozenNorm):
            return self.layer.normalised(x)
        return nn.functional.layer_norm(x, self.layer.normalized_shape, eps=self.layer.eps)

    def _by_channel(self, tensor: Tensor) -> Tensor:
        """[K, B, positions, parameters]."""
        if isinstance(self.layer, FrozenNorm):
            return tensor.flatten(3).transpose(2, 3) if tensor.dim() > 3 else tensor.unsqueeze(2)
        return (
            tensor.flatten(-len(self.layer.normalized_shape)).flatten(2, -2) if tensor.dim() > 3 else tensor[:, :, None]
        )

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        a, delta = self._by_channel(a), self._by_channel(delta)
        total = delta.new_zeros(delta.shape[:2])
        if self.weight:
            total = total + norms.affine(a, delta)
        return total + norms.bias(delta) if self.bias else total

    def sums(self, a: Tensor, delta: Tensor) -> Params:
        a, delta = self._by_channel(a), self._by_channel(delta)
        shape = (len(delta), *self.layer.weight.shape)
        found = {"weight": (a * delta).sum((1, 2)).view(shape)} if self.weight else {}
        return found | ({"bias": delta.sum((1, 2)).view(shape)} if self.bias else {})

    def absolutes(self, a: Tensor, delta: Tensor) -> Params:
        raise NotImplementedError("rows are chosen among linear layers and convolutions")


def moving(name: str, layer: nn.Module, *, weight: bool, bias: bool, rows: Tensor | None) -> Moving:
    """The formulas of a layer of which something moves.

    Args:
        rows: int64 [K or 1, r], the rows of its weight that move; None for all.

    Raises:
        BadInput: a kind of layer without formulas.
    """
    kind = type(layer)  # a subclass may compute anything
    if kind is nn.Linear:
        return MovingLinear(layer, weight, bias, Rows(rows))
    if kind is nn.Conv2d and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple):
        depthwise = layer.groups == layer.in_channels == layer.out_channels
        if layer.groups == 1 or depthwise:
            return MovingConvolution(layer, weight, bias, Rows(rows))
    if kind in (FrozenNorm, nn.LayerNorm) and rows is None:
        return MovingNorm(layer, weight, bias)
    allowed = "Linear, Conv2d (without groups or depthwise, padded with zeros), BatchNorm in eval mode or LayerNorm"
    raise BadInput(
        "model", f"{kind.__name__} {name}", f"a layer to move of a kind with per-example gradients: {allowed}"
    )
