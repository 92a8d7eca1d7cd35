"""Stacked parameters: every tensor holds one slice per member along its first axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""Parameter name -> tensor [K, ...] for K members; one network is K = 1."""

Shapes = Mapping[str, tuple[int, ...]]
"""Parameter name -> shape of one member's tensor, without the member axis."""


def members(params: Mapping[str, Tensor]) -> int:
    """The number K of networks in a stack."""
    return next(iter(params.values())).shape[0]


def take(params: Params, index: Tensor | slice | Sequence[int]) -> Params:
    """The members at `index`, in that order, still stacked."""
    return {name: tensor[index] for name, tensor in params.items()}


def repeat(params: Params, count: int) -> Params:
    """`count` copies of a single network (K = 1) that share memory: read them, or copy before writing."""
    return {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in params.items()}


def concatenate(stacks: Sequence[Params]) -> Params:
    """Several stacks of the same architecture as one."""
    return {name: torch.cat([stack[name] for stack in stacks]) for name in stacks[0]}


def weights_per_member(shapes: Shapes) -> int:
    """How many numbers one member holds."""
    return sum(torch.Size(shape).numel() for shape in shapes.values())


class Flat:
    """One contiguous buffer with a view per parameter.

    An optimiser's elementwise step then is one kernel over everything, whatever the number of layers.

    Args:
        count: the number K of members.
        shapes: the shape of each parameter of one member.
    """

    def __init__(self, count: int, shapes: Shapes, *, device: torch.device, dtype: torch.dtype) -> None:
        self.data = torch.zeros(count * weights_per_member(shapes), device=device, dtype=dtype)
        self.views: Params = {}
        start = 0
        for name, shape in shapes.items():
            size = count * torch.Size(shape).numel()
            self.views[name] = self.data[start : start + size].view(count, *shape)
            start += size

    @classmethod
    def of(cls, params: Params) -> Flat:
        """A flat copy of a stack."""
        first = next(iter(params.values()))
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in params.items()}
        flat = cls(first.shape[0], shapes, device=first.device, dtype=first.dtype)
        for name, tensor in params.items():
            flat.views[name].copy_(tensor)
        return flat
