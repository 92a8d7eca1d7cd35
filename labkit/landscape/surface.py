"""The loss along lines and over planes through one network: every point is a member of a population.

Each function is a generator: it yields (done, total) points after each chunk, so that a caller can stop, and returns
the losses (`labkit.generators` runs such a computation).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.landscape.steps import Steps
from labkit.population import Architecture, Params, evaluate, members

CHUNK = 512  # points between two chances to stop; `evaluate` takes fewer members at once where memory asks for it


def symmetric_axis(radius: float, size: int) -> Tensor:
    """`size` evenly spaced coordinates from -radius to radius, float64; an odd size has exactly 0 in its middle."""
    if size < 2 or not radius > 0:
        raise BadInput("size, radius", (size, radius), "a size of at least 2 and a radius above 0")
    steps = torch.arange(size, dtype=torch.float64)
    return (steps - (size - 1) / 2) * (2 * radius / (size - 1))


def plane(
    arch: Architecture,
    params: Params,
    first: Params,
    second: Params,
    radius: float,
    size: int,
    x: Tensor,
    y: Tensor,
    chunk: int = CHUNK,
    tf32: bool = False,
) -> Steps[Tensor]:
    """The surface on a square around a network: `grid` with `symmetric_axis(radius, size)` for both axes."""
    axis = symmetric_axis(radius, size)
    return (yield from grid(arch, params, first, second, axis, axis, x, y, chunk, tf32))


def grid(
    arch: Architecture,
    params: Params,
    first: Params,
    second: Params,
    axis_x: Tensor,
    axis_y: Tensor,
    x: Tensor,
    y: Tensor,
    chunk: int = CHUNK,
    tf32: bool = False,
) -> Steps[Tensor]:
    """Mean cross-entropy at params + a * first + b * second for a in `axis_x`, b in `axis_y`.

    Args:
        arch, params: the network, K = 1.
        first, second: directions shaped like `params`.
        axis_x, axis_y: coordinates [g], [h] along the first and the second direction.
        x, y: examples [n, ...] and labels [n].
        chunk: how many points to hold at once.
        tf32: allow TF32 in float32 matrix products of the forward pass; the weights themselves are never rounded.

    Returns:
        losses [h, g]: row i is at `axis_y[i]`, column j at `axis_x[j]`.
    """
    points = torch.cartesian_prod(axis_y, axis_x).flip(1)
    losses = yield from _losses(arch, params, (first, second), points, x, y, chunk, tf32)
    return losses.view(len(axis_y), len(axis_x))


def profile(
    arch: Architecture,
    params: Params,
    direction: Params,
    radius: float,
    size: int,
    x: Tensor,
    y: Tensor,
    chunk: int = CHUNK,
    tf32: bool = False,
) -> Steps[Tensor]:
    """Losses [size] at params + a * direction for a in `symmetric_axis(radius, size)`; arguments as `grid`."""
    points = symmetric_axis(radius, size).unsqueeze(1)
    return (yield from _losses(arch, params, (direction,), points, x, y, chunk, tf32))


def interpolation(
    arch: Architecture,
    start: Params,
    end: Params,
    shares: Tensor,
    x: Tensor,
    y: Tensor,
    chunk: int = CHUNK,
    tf32: bool = False,
) -> Steps[Tensor]:
    """Losses [p] on the straight line from one network to another (Goodfellow et al. 2015, 1412.6544).

    Args:
        start, end: two networks of the same architecture, K = 1 each.
        shares: coordinates [p]; 0 is `start`, 1 is `end`, and others extend the line.
        arch, x, y, chunk, tf32: as `grid`.
    """
    direction = {name: end[name] - start[name] for name in start}
    return (yield from _losses(arch, start, (direction,), shares.unsqueeze(1), x, y, chunk, tf32))


def _losses(
    arch: Architecture,
    params: Params,
    directions: Sequence[Params],
    points: Tensor,
    x: Tensor,
    y: Tensor,
    chunk: int,
    tf32: bool,
) -> Steps[Tensor]:
    """Losses [P] at params + sum over d of points[:, d] * directions[d]."""
    if members(params) != 1:
        raise BadInput("params", f"{members(params)} networks", "one network (K = 1)")
    if chunk < 1:
        raise BadInput("chunk", chunk, "at least 1")
    found = []
    for start in range(0, len(points), chunk):
        piece = points[start : start + chunk]
        found.append(evaluate(arch, _moved(params, directions, piece), x, y, tf32=tf32).loss)
        yield min(start + chunk, len(points)), len(points)
    return torch.cat(found)


def _moved(params: Params, directions: Sequence[Params], points: Tensor) -> Params:
    """The population at some points. Elementwise, because a matrix product would round the weights under TF32."""
    moved = {}
    for name, weight in params.items():
        places = points.to(device=weight.device, dtype=weight.dtype).view(*points.shape, *[1] * (weight.dim() - 1))
        here = torch.addcmul(weight, places[:, 0], directions[0][name])
        for index, direction in enumerate(directions[1:], start=1):
            here.addcmul_(places[:, index], direction[name])
        moved[name] = here
    return moved
