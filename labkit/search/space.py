"""Where a search looks: the sub-networks of one parent, numbered 0, 1, 2, ... and drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from labkit.population import CNN, MLP, Params, take, weights_per_member
from labkit.sparsity import draw_nodes, draw_weights, kept_counts, kept_weights, node_masks

Parent = MLP | CNN


@dataclass(frozen=True)
class Candidates:
    """Some sub-networks as one population.

    Args:
        arch: their architecture: the parent's, or a narrower one where nodes were removed.
        params: their initial parameters [M, ...].
        masks: 0/1 tensors [M, ...] where weights are masked; None where nodes were really removed.
    """

    arch: Parent
    params: Params
    masks: Params | None


class Space(Protocol):
    """The sub-networks of a parent at one sparsity."""

    def impossible(self) -> str | None:
        """Why no such sub-network exists, in one line, or None."""

    def candidates(self, parent: Params, which: Sequence[int]) -> Candidates:
        """The sub-networks with these numbers, initialised as the parent is (K = 1)."""

    def masked(self, parent: Params, which: Sequence[int]) -> Candidates:
        """The same sub-networks with masks over the parent's full shape, removed nodes or not."""

    def parameters(self) -> int:
        """Numbers that one sub-network really has or keeps, biases included."""


def hidden_sizes(arch: Parent) -> tuple[int, ...]:
    """The nodes of each hidden layer: neurons, or channels of a convolution."""
    return arch.widths[1:-1] if isinstance(arch, MLP) else arch.channels


@dataclass(frozen=True)
class NodeSpace:
    """Sub-networks with an exact number of nodes removed from every hidden layer (2403.08265).

    Args:
        rescale: multiply the weights behind a thinned layer by sqrt(nodes before / nodes left), the scale that He
            initialisation would have given the narrow network; without it activations are too small.
    """

    arch: Parent
    sparsity: float
    seed: int
    rescale: bool = False

    def impossible(self) -> str | None:
        for layer, count in enumerate(kept_counts(hidden_sizes(self.arch), self.sparsity)):
            if count == 0:
                nodes = hidden_sizes(self.arch)[layer]
                return f"sparsity {self.sparsity:g} leaves hidden layer {layer + 1} none of its {nodes} nodes"
        return None

    def _draw(self, which: Sequence[int], device: torch.device | str = "cpu") -> list[torch.Tensor]:
        return draw_nodes(hidden_sizes(self.arch), self.sparsity, self.seed, which, device)

    def _scales(self) -> dict[str, float]:
        """The factor of each weight behind a thinned layer."""
        full = hidden_sizes(self.arch)
        left = kept_counts(full, self.sparsity)
        return {f"{i}.weight": (a / b) ** 0.5 for i, (a, b) in enumerate(zip(full, left, strict=True), 1)}

    def _initial(self, params: Params) -> Params:
        return params | {n: params[n] * s for n, s in self._scales().items()} if self.rescale else params

    def candidates(self, parent: Params, which: Sequence[int]) -> Candidates:
        arch, params = self.arch.sliced(parent, self._draw(which, parent["0.weight"].device))
        return Candidates(arch, self._initial(params), None)

    def masked(self, parent: Params, which: Sequence[int]) -> Candidates:
        device = parent["0.weight"].device
        masks = {n: m.to(device) for n, m in node_masks(self.arch.shapes(), self._draw(which)).items()}
        params = self._initial(take(parent, [0] * len(which)))
        return Candidates(self.arch, {name: params[name] * masks[name] for name in params}, masks)

    def parameters(self) -> int:
        left = kept_counts(hidden_sizes(self.arch), self.sparsity)
        if isinstance(self.arch, MLP):
            narrow = replace(self.arch, widths=(self.arch.widths[0], *left, self.arch.widths[-1]))
        else:
            narrow = replace(self.arch, channels=left)
        return weights_per_member(narrow.shapes())


@dataclass(frozen=True)
class WeightSpace:
    """Sub-networks with an exact number of single weights masked in every layer; the sparsity is simulated.

    Args:
        distribution: how the weights left are spread over layers: uniform, er or erk.
        rescale: divide each layer's weights by the square root of the share that it keeps.
    """

    arch: Parent
    sparsity: float
    seed: int
    rescale: bool = False
    distribution: str = "uniform"

    def _kept(self) -> dict[str, int]:
        return kept_weights(self.arch.shapes(), self.sparsity, self.distribution)

    def impossible(self) -> str | None:
        for name, count in self._kept().items():
            if count == 0:
                return f"sparsity {self.sparsity:g} leaves layer {int(name.split('.')[0]) + 1} no weight"
        return None

    def candidates(self, parent: Params, which: Sequence[int]) -> Candidates:
        device = parent["0.weight"].device
        drawn = draw_weights(self.arch.shapes(), self.sparsity, self.distribution, self.seed, which)
        masks = {name: mask.to(device) for name, mask in drawn.items()}
        params = take(parent, [0] * len(which))
        for name, mask in masks.items():
            scale = (mask[0].numel() / self._kept()[name]) ** 0.5 if self.rescale else 1.0
            params[name] = params[name] * mask * scale
        return Candidates(self.arch, params, masks)

    def masked(self, parent: Params, which: Sequence[int]) -> Candidates:
        return self.candidates(parent, which)

    def parameters(self) -> int:
        shapes = self.arch.shapes()
        biases = weights_per_member({name: shape for name, shape in shapes.items() if len(shape) == 1})
        return biases + sum(self._kept().values())
