"""Per-example gradients of the layers that move, or formulas for their norms and sums, for some rows or for all.

`a` is what a layer was given, [K, B, ...], and `delta` the gradient of each example's loss at its output, [K, B, ...].
Which gradients are held, and for how many examples at once, `labkit.finetune.clip` decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.finetune.each import each_convolution, each_linear
from labkit.finetune.network import FrozenNorm
from labkit.population import norms, sums
from labkit.population.params import Params


class Moving(Protocol):
    """One layer of which something moves: `weight` and `bias` say what."""

    weight: bool
    bias: bool

    def record(self, x: Tensor) -> Tensor:
        """What must be kept of the layer's input [B, ...]."""

    @property
    def large(self) -> bool:
        """Whether a weight moves whose gradients may be too many to be held for each example."""

    def small(self, a: Tensor, delta: Tensor) -> Params:
        """Gradients of each example that are no longer than a layer is wide: `bias`, a norm's `weight`; [K, B, ...]."""

    def numbers(self, a: Tensor, delta: Tensor) -> int:
        """How many numbers `each` would hold, if the weight is large; 0 where its gradients are outer products."""

    def each(self, a: Tensor, delta: Tensor) -> Tensor:
        """Gradients of the weight of each example, [K, B, ...], where they add up over positions."""

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        """Squared norms [K, B] of the gradients of the weight, where they are outer products."""

    def sums(self, a: Tensor, delta: Tensor) -> Tensor:
        """Gradients of the weight, where they are outer products, added up over examples: [K, ...]."""

    def absolutes(self, a: Tensor, delta: Tensor) -> Tensor:
        """The same with the absolute values of each example's gradient."""


@dataclass(frozen=True)
class Rows:
    """The rows of a weight that move: int64 [K or 1, r], or None for all."""

    index: Tensor | None

    def count(self, outputs: int) -> int:
        """How many of a layer's rows they are."""
        return outputs if self.index is None else self.index.shape[1]

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
    """`nn.Linear` on [B, in], or on [B, ..., in] with any axes of positions."""

    layer: nn.Linear
    weight: bool
    bias: bool
    rows: Rows = field(default_factory=lambda: Rows(None))

    @property
    def large(self) -> bool:
        return self.weight

    def record(self, x: Tensor) -> Tensor:
        return x.flatten(1, -2) if x.dim() > 2 else x

    def _of(self, a: Tensor, delta: Tensor) -> Tensor:
        """The gradient at the outputs of the rows that move, with one axis of positions or none, as `a` has it."""
        return self.rows.of(delta.flatten(2, -2) if a.dim() > 3 else delta, -1)

    def small(self, a: Tensor, delta: Tensor) -> Params:
        over = tuple(range(2, delta.dim() - 1))
        return {"bias": delta.sum(over) if over else delta} if self.bias else {}

    def numbers(self, a: Tensor, delta: Tensor) -> int:
        if a.dim() == 3:
            return 0  # an outer product: nothing adds up
        return a.shape[0] * a.shape[1] * a.shape[-1] * self.rows.count(delta.shape[-1])

    def each(self, a: Tensor, delta: Tensor) -> Tensor:
        return each_linear(a, self._of(a, delta))

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        return norms.linear(a, self._of(a, delta))

    def sums(self, a: Tensor, delta: Tensor) -> Tensor:
        return sums.linear(a, self._of(a, delta))

    def absolutes(self, a: Tensor, delta: Tensor) -> Tensor:
        return sums.linear(a.abs(), self._of(a, delta).abs())


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

    @property
    def large(self) -> bool:
        return self.weight

    def small(self, a: Tensor, delta: Tensor) -> Params:
        return {"bias": delta.sum((3, 4))} if self.bias else {}

    def numbers(self, a: Tensor, delta: Tensor) -> int:
        row = self.layer.weight[0].numel()
        return a.shape[0] * a.shape[1] * row * self.rows.count(delta.shape[2])

    def each(self, a: Tensor, delta: Tensor) -> Tensor:
        if not self.depthwise:
            found = each_convolution(a, self.rows.of(delta), self.geometry)
        else:
            found = each_convolution(*self._apart(a, delta), self.geometry)
            found = found.view(len(delta), -1, *found.shape[1:]).transpose(1, 2)
        return found.reshape(*delta.shape[:2], -1, *self.layer.weight.shape[1:])

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        raise NotImplementedError("the gradients of a convolution add up over positions")

    sums = absolutes = squares


@dataclass(frozen=True)
class MovingNorm:
    """Scale and shift of a normalisation that treats each example alone: `FrozenNorm`, `nn.LayerNorm`."""

    layer: FrozenNorm | nn.LayerNorm
    weight: bool
    bias: bool

    def record(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, FrozenNorm):
            return x
        return nn.functional.layer_norm(x, self.layer.normalized_shape, eps=self.layer.eps)

    @property
    def large(self) -> bool:
        return False

    def small(self, a: Tensor, delta: Tensor) -> Params:
        frozen = isinstance(self.layer, FrozenNorm)
        over = tuple(range(3, delta.dim())) if frozen else tuple(range(2, delta.dim() - 1))
        shift = delta.sum(over) if over else delta
        found = {"bias": shift} if self.bias else {}
        if self.weight:
            product = a * delta
            scale = product.sum(over) if over else product
            # Of (x - mean) / deviation the constants stand outside the sum: nothing as large as x is made of them.
            found["weight"] = (scale - self.layer.mean * shift) / self.layer.deviation if frozen else scale
        return found

    def squares(self, a: Tensor, delta: Tensor) -> Tensor:
        raise NotImplementedError("the gradients of a norm are small")

    numbers = each = sums = absolutes = squares


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
    # The gradient of a norm over several axes would have several, too.
    plain = kind is FrozenNorm or (kind is nn.LayerNorm and len(layer.normalized_shape) == 1)
    if plain and rows is None:
        return MovingNorm(layer, weight, bias)
    allowed = "Linear, Conv2d (without groups or depthwise, padded with zeros), BatchNorm in eval mode or LayerNorm"
    raise BadInput(
        "model", f"{kind.__name__} {name}", f"a layer to move of a kind with per-example gradients: {allowed}"
    )
