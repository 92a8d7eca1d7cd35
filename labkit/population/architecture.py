"""What the engine asks of an architecture: K networks of one shape, computed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor

from labkit.population.clipping import Clipped
from labkit.population.params import Params, Shapes


class Architecture(Protocol):
    """K networks of one shape as one program. Implementations are frozen and hashable."""

    def shapes(self) -> Shapes:
        """The shape of each parameter of one member."""

    def init(
        self,
        seeds: Sequence[int],
        *,
        scale: Sequence[float] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Params:
        """He-initialised parameters, member k from a generator of its own seeded with `seeds[k]`.

        Numbers are drawn on the CPU, so that a seed means the same network on every device.
        `scale[k]` multiplies member k's weights.
        """

    def logits(self, params: Params, x: Tensor) -> Tensor:
        """Logits [K, B, classes] of x: [B, ...] shared by all members, or [K, B, ...] with one batch each."""

    def accumulate(self, params: Params, x: Tensor, y: Tensor, out: Params, *, decay: float, scale: Tensor) -> Tensor:
        """One backward pass, added to running buffers: out = decay * out + scale_k * gradient of member k's mean
        cross-entropy.

        With decay = momentum and scale = learning rate this is the momentum update itself, without a separate
        gradient in memory; with decay = 0 and scale = 1 it is the plain gradient.

        Args:
            x: [B, ...] or [K, B, ...].
            y: labels [B] or [K, B].
            out: buffers shaped as `params`.
            scale: [K].

        Returns:
            mean cross-entropy of each member on its batch, [K], before the update.
        """

    def clipped_sum(
        self,
        params: Params,
        x: Tensor,
        y: Tensor,
        out: Params,
        *,
        clip: Tensor,
        weight: Tensor,
        fresh: bool,
        masks: Params | None = None,
    ) -> Clipped:
        """out = (0 if fresh else out) + sum over i of weight_i * min(1, clip_k / |g_ik|) * g_ik.

        g_ik is the gradient of example i's own cross-entropy for member k, its masked coordinates removed *before*
        the norm is taken (Abadi et al. 2016, 1607.00133, algorithm 1, on the coordinates that are trained). No
        contribution is larger than clip_k, rounding included. An example without a finite norm contributes exactly
        zero and is counted; a row of weight 0 contributes exactly zero and never counts.

        Norms and sum are computed in the dtype of `out` and never in TF32, whatever the setting around the call.

        Args:
            x: [B, ...] or [K, B, ...].
            y: labels [B] or [K, B].
            out: buffers shaped as `params`; masked coordinates are zero afterwards.
            clip: clip norms [K], above 0; inf trains plainly.
            weight: [B] or [K, B]; 1 for a real row, 0 for padding.
            fresh: whether to forget what `out` held.
            masks: 0/1 tensors [K, ...] for some or all parameters.
        """

    def sliced(self, params: Params, kept: Sequence[Tensor]) -> tuple[Self, Params]:
        """Sub-networks of one parent with the nodes outside `kept` really removed.

        Args:
            params: the parent, K = 1.
            kept: for each hidden layer, the indices [M, n] of the nodes that stay in each of M sub-networks.
        """

    def activation_numbers(self) -> int:
        """Numbers held per example and member during a backward pass; for predicting memory."""


def expand_labels(y: Tensor, count: int) -> Tensor:
    """Labels as [K, B], whether they came shared or per member."""
    return y.expand(count, -1) if y.dim() == 1 else y


def he_normal(shape: Sequence[int], fan_in: int, generator: torch.Generator) -> Tensor:
    """Weights drawn from N(0, 2 / fan_in) (He et al. 2015, 1502.01852, section 2.2), in float32 on the CPU."""
    return torch.randn(shape, generator=generator) * (2.0 / fan_in) ** 0.5


def stacked_init(
    shapes: Shapes,
    seeds: Sequence[int],
    scale: Sequence[float] | None,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Params:
    """He-normal weights, whose fan-in is the product of all axes but the first, and zero biases, for each seed."""
    drawn: dict[str, list[Tensor]] = {name: [] for name in shapes}
    for k, seed in enumerate(seeds):
        generator = torch.Generator().manual_seed(seed)
        for name, shape in shapes.items():
            if len(shape) == 1:
                drawn[name].append(torch.zeros(shape))
            else:
                weight = he_normal(shape, torch.Size(shape[1:]).numel(), generator)
                drawn[name].append(weight if scale is None else weight * scale[k])
    return {name: torch.stack(tensors).to(device=device, dtype=dtype) for name, tensors in drawn.items()}


class HeInitialised:
    """`Architecture.init` for every architecture that knows its shapes."""

    def init(
        self,
        seeds: Sequence[int],
        *,
        scale: Sequence[float] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Params:
        """As `Architecture.init`."""
        return stacked_init(self.shapes(), seeds, scale, device, dtype)
