"""The path of training, projected on the two directions in which it mostly runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population import Params


@dataclass(frozen=True)
class Path:
    """A training path in the plane of its first two principal components through the final weights.

    Args:
        first, second: the components: orthonormal directions shaped like the parameters.
        coordinates: [T, 2], one point per snapshot in the units of the weights; the last is (0, 0).
        explained: [2], the shares of the squared distance to the final weights that lie along each component.
    """

    first: Params
    second: Params
    coordinates: Tensor
    explained: Tensor


def project(snapshots: Sequence[Params]) -> Path:
    """Principal components of the differences between each snapshot and the last (Li et al. 2018, section 7).

    The differences are not centred: the plane goes through the final weights, where the surface is drawn, and fits
    the path best in the least-squares sense among all planes that do. Biases are part of the path. Signs are chosen
    so that the path's farthest point along each component has a positive coordinate.

    Args:
        snapshots: the weights at T >= 2 times, each K = 1, oldest first.
    """
    if len(snapshots) < 2:
        raise BadInput("snapshots", len(snapshots), "at least 2, the last one being the final weights")
    last = snapshots[-1]
    rows = torch.cat(
        [torch.stack([(s[name] - last[name]).double().flatten() for s in snapshots]) for name in last], dim=1
    )
    if rows.shape[1] < 2:
        raise BadInput("snapshots", "networks of a single weight", "networks of at least 2 weights")
    _, sizes, components = torch.linalg.svd(rows, full_matrices=False)
    axes = components[:2]
    coordinates = rows @ axes.T
    farthest = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))[0]
    signs = torch.where(farthest < 0, -1.0, 1.0).to(coordinates)
    total = sizes.square().sum()
    explained = sizes[:2].square() / total if total > 0 else torch.zeros_like(sizes[:2])
    first, second = (_unflatten(axis * sign, last) for axis, sign in zip(axes, signs, strict=True))
    return Path(first, second, coordinates * signs, explained)


def path_axes(coordinates: Tensor, size: int, margin: float = 0.2) -> tuple[Tensor, Tensor]:
    """Axes [size] for a surface that shows a whole path and its end with some space around them.

    Args:
        coordinates: [T, 2] as `project` returns them.
        size: points along each axis.
        margin: space on each side, as a share of the path's extent; a path without extent along one component gets a
            fifth of its extent along the other there.
    """
    low, high = coordinates.amin(0), coordinates.amax(0)
    extent = (high - low).clamp_min(float((high - low).max()) / 5)
    extent = extent.where(extent > 0, torch.ones_like(extent))
    middle, half = (low + high) / 2, extent * (0.5 + margin)
    axis_x, axis_y = (torch.linspace(float(m - h), float(m + h), size) for m, h in zip(middle, half, strict=True))
    return axis_x.double(), axis_y.double()


def _unflatten(flat: Tensor, like: Params) -> Params:
    pieces = flat.split([tensor.numel() for tensor in like.values()])
    return {name: piece.view_as(like[name]).to(like[name]) for (name, piece) in zip(like, pieces, strict=True)}
