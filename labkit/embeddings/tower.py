"""The network above embedding tables, with everything that one example's gradient needs in closed form."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population.params import Flat


@dataclass(frozen=True)
class Pass:
    """What a forward pass keeps for the backward one.

    Args:
        inputs: of each layer, float32 [N, in].
        logits: float32 [N].
    """

    inputs: tuple[Tensor, ...]
    logits: Tensor


class Tower:
    """Embedded slots -> one logit: columns side by side, or a bag's mean, then linear layers with ReLU between them.

    With `base`, the tables hold the small factor A of a low-rank change (LoRA, arXiv 2106.09685) of frozen word
    vectors: a word's vector is base + A B, and B is the first layer, linear and without a bias.

    Args:
        slots: T, embedded rows of an example.
        dim: numbers in a row of the tables.
        hidden: widths of the hidden layers; may be empty.
        bag: the mean of an example's real slots instead of all of them side by side.
        base: width of the frozen vectors, 0 for none; bags alone have them.
        generator: draws the weights, uniform within 1 / sqrt(inputs); biases start at zero.
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int],
        *,
        bag: bool = False,
        base: int = 0,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
    ) -> None:
        if base and not bag:
            raise BadInput("base", base, "0 where columns stand side by side: only a bag has frozen vectors")
        self.slots, self.dim, self.bag, self.base = slots, dim, bag, base
        first = dim if bag else slots * dim
        widths = [first, *([base] if base else []), *hidden, 1]
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            shapes[f"{layer}.weight"] = (after, before)
            if not (base and layer == 0):
                shapes[f"{layer}.bias"] = (after,)
        self.layers = len(widths) - 1
        self.shapes: Mapping[str, tuple[int, ...]] = shapes
        drawn = Flat(1, shapes, device=torch.device("cpu"), dtype=torch.float32)
        for name, view in drawn.views.items():
            if name.endswith("weight"):
                view.uniform_(-1, 1, generator=generator).div_(view.shape[-1] ** 0.5)
        self.flat = Flat(1, shapes, device=torch.device(device), dtype=torch.float32)
        self.flat.data.copy_(drawn.data)

    @property
    def params(self) -> dict[str, Tensor]:
        """Weights [out, in] and biases [out] by name: views of one buffer."""
        return {name: view[0] for name, view in self.flat.views.items()}

    def forward(self, embedded: Tensor, real: Tensor | None, frozen: Tensor | None = None) -> Pass:
        """Logits of N examples.

        Args:
            embedded: float32 [N, T, dim], the tables' rows; what stands in empty slots is not read.
            real: bool [N, T], False for an empty slot; None where no slot is, which columns alone may say.
            frozen: float32 [N, base], the mean of the frozen vectors, where there are any.
        """
        params = self.params
        if real is not None:
            embedded = embedded.masked_fill(~real[..., None], 0)
        x = embedded.sum(1) / _counts(real) if self.bag else embedded.flatten(1)
        inputs = []
        for layer in range(self.layers):
            inputs.append(x)
            if self.base and layer == 0:
                x = torch.addmm(frozen, x, params["0.weight"].T)
                continue
            x = torch.addmm(params[f"{layer}.bias"], x, params[f"{layer}.weight"].T)
            if layer < self.layers - 1:
                x = x.relu_()
        return Pass(tuple(inputs), x[:, 0])

    def backward(self, seen: Pass, error: Tensor, real: Tensor | None) -> tuple[list[Tensor], Tensor]:
        """Gradients of sum_n loss_n, kept apart by example.

        Args:
            error: d loss_n / d logit_n, float32 [N].

        Returns:
            of each layer its output's gradient before ReLU [N, out], and the slots' [N, T, dim].
        """
        params, deltas, delta = self.params, [], error[:, None]
        for layer in reversed(range(self.layers)):
            deltas.append(delta)
            delta = delta @ params[f"{layer}.weight"]
            if layer and not (self.base and layer == 1):
                delta = delta * (seen.inputs[layer] > 0)  # the input is the last layer's ReLU
        if self.bag:
            shared = delta / _counts(real)
            slots = shared[:, None, :].expand(-1, real.shape[1], -1)
        else:
            slots = delta.view(len(delta), self.slots, self.dim)
        return deltas[::-1], slots if real is None else slots.masked_fill(~real[..., None], 0)

    def squared_norms(self, seen: Pass, deltas: Sequence[Tensor], per_unit: int) -> Tensor:
        """|g|^2 of each unit's gradient of all weights and biases, float32 [N / per_unit].

        One example: sum over layers of |delta|^2 (|a|^2 + 1) (Goodfellow 2015). Of several, whose gradients add up
        before the norm is taken: the sum over pairs of (delta . delta') (a . a' + 1).
        """
        total = None
        for layer, (a, delta) in enumerate(zip(seen.inputs, deltas, strict=True)):
            bias = 0.0 if self.base and layer == 0 else 1.0
            if per_unit == 1:
                of_a, of_delta = (torch.linalg.vector_norm(x, dim=1).square() for x in (a, delta))
                part = of_delta * (of_a + bias)
            else:
                a, delta = a.view(-1, per_unit, a.shape[1]), delta.view(-1, per_unit, delta.shape[1])
                part = ((delta @ delta.mT) * (a @ a.mT + bias)).sum((1, 2))
            total = part if total is None else total + part
        return total

    def add_sums(self, seen: Pass, deltas: Sequence[Tensor], factors: Tensor, out: Mapping[str, Tensor]) -> None:
        """out = out + sum_n factor_n * gradient_n, for buffers of the weights' names and shapes.

        Args:
            factors: float32 [N]; what has the factor 0 is left out, NaN or not.
        """
        lost = (factors == 0)[:, None]
        for layer, (a, delta) in enumerate(zip(seen.inputs, deltas, strict=True)):
            weighted = (delta * factors[:, None]).masked_fill(lost, 0)
            out[f"{layer}.weight"].addmm_(weighted.T, a.masked_fill(lost, 0))
            if f"{layer}.bias" in out:
                out[f"{layer}.bias"].add_(weighted.sum(0))


def bag_mean(vectors: Tensor, at: Tensor, real: Tensor) -> Tensor:
    """The mean of a bag's vectors, float32 [N, E]: rows `at`, int64 [N, T], where `real`."""
    words = vectors.index_select(0, at.reshape(-1)).view(*at.shape, -1).masked_fill(~real[..., None], 0)
    return words.sum(1) / _counts(real)


def _counts(real: Tensor) -> Tensor:
    return real.sum(1, keepdim=True).clamp(min=1).float()
