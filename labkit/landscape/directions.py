"""Random directions in weight space, scaled filter by filter to the network's own weights.

After Li et al. 2018 (1712.09913), section 4, with the choices of their released settings (`norm=filter`,
`ignore=biasbn`). A filter is one row of a linear layer's weight or one output channel of a convolution. Biases and
one-dimensional normalisation parameters are not moved: their direction is zero, and nothing scales them again.

Inside a mask the direction is zero on removed weights and each filter is scaled to the norm of its kept weights.
Outside a mask it is zero on kept weights and scaled to that same norm, so that a step of 1 is as large for the one as
for the other; a filter that the mask removes whole has no norm of its own and takes the root mean square of its
layer's other filters. (With zero in its place a node-sparse network would look flat outside its mask, by
construction: a removed node's outgoing weights do nothing while its incoming ones are zero.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population import Params, members

Mask = Mapping[str, Tensor]
"""Parameter name -> 1 (or True) for kept weights, shaped like the parameter; a name left out is kept whole."""


@dataclass(frozen=True)
class Plane:
    """Two directions through one network.

    Args:
        first, second: the directions, shaped like the network's parameters.
        cosine: the cosine of the angle between them, measured after all scaling.
    """

    first: Params
    second: Params
    cosine: float


def gaussian_direction(
    params: Params, generator: torch.Generator, mask: Mask | None = None, inside: bool = True
) -> Params:
    """A direction with independent standard normal entries where it may move, zero elsewhere.

    Numbers are drawn in float64 on the generator's device, for every weight whatever the mask: a seed means the same
    direction in every dtype, and the parts inside and outside a mask are two pieces of one Gaussian.

    Args:
        params: the network, K = 1.
        generator: source of the numbers.
        mask: the network's mask, None for a dense network.
        inside: whether to move kept weights (True) or removed ones (False; without a mask there are none).
    """
    _single(params)
    direction = {}
    for name, weight in params.items():
        if not _has_filters(weight):
            direction[name] = torch.zeros_like(weight)
            continue
        drawn = torch.randn(weight.shape, generator=generator, device=generator.device, dtype=torch.float64)
        drawn = drawn.to(device=weight.device, dtype=weight.dtype)
        kept = _kept(mask, name, weight)
        direction[name] = drawn * (kept if inside else ~kept)
    return direction


def filter_normalise(direction: Params, params: Params, mask: Mask | None = None) -> Params:
    """A copy of the direction with each filter scaled to the norm of the same filter of the network's kept weights.

    A filter of the direction that is zero stays zero; a filter of the network that is zero makes it zero. Applying
    this twice changes nothing.

    Args:
        direction: as `gaussian_direction` returns it.
        params: the network, K = 1.
        mask: the network's mask, None for a dense network.
    """
    scaled = {}
    for name, weight in params.items():
        if not _has_filters(weight):
            scaled[name] = torch.zeros_like(weight)
            continue
        kept = _kept(mask, name, weight)
        wanted = _filter_norms(weight * kept)
        living = kept.flatten(2).any(-1).view(wanted.shape)
        if living.any() and not living.all():
            wanted = torch.where(living, wanted, wanted[living].square().mean().sqrt())
        have = _filter_norms(direction[name])
        factor = torch.where(have > 0, wanted / have.clamp_min(torch.finfo(have.dtype).tiny), 0.0)
        scaled[name] = direction[name] * factor
    return scaled


def random_direction(
    params: Params, generator: torch.Generator, mask: Mask | None = None, inside: bool = True
) -> Params:
    """A filter-normalised Gaussian direction; arguments as `gaussian_direction`."""
    return filter_normalise(gaussian_direction(params, generator, mask, inside), params, mask)


def random_plane(
    params: Params,
    generator: torch.Generator,
    mask: Mask | None = None,
    inside: bool = True,
    orthogonal: bool = False,
) -> Plane:
    """Two filter-normalised Gaussian directions.

    As in the paper they are not made orthogonal: in n dimensions the cosine of two Gaussians is about 1 / sqrt(n), and
    the measured one is returned. With `orthogonal` the second loses its projection on the first and gets its length
    back; its filters' norms are then those of the weights only up to a factor 1 + O(cosine).

    Args:
        params, generator, mask, inside: as `gaussian_direction`.
        orthogonal: whether to make the second direction orthogonal to the first.
    """
    first = random_direction(params, generator, mask, inside)
    second = random_direction(params, generator, mask, inside)
    if orthogonal:
        second = _orthogonalised(first, second)
    length = (dot(first, first) * dot(second, second)) ** 0.5
    return Plane(first, second, dot(first, second) / length if length else 0.0)


def dot(a: Params, b: Params) -> float:
    """The scalar product of two directions over all parameters, summed in float64."""
    return sum(float((a[name].double() * b[name].double()).sum()) for name in a)


def _orthogonalised(first: Params, second: Params) -> Params:
    length = dot(first, first)
    if not length:
        return second
    share = dot(first, second) / length
    rest = {name: second[name] - share * first[name] for name in second}
    left = dot(rest, rest)
    if not left:
        raise BadInput("orthogonal", True, "False where the mask leaves a single coordinate to move")
    factor = (dot(second, second) / left) ** 0.5
    return {name: factor * tensor for name, tensor in rest.items()}


def _single(params: Params) -> None:
    if members(params) != 1:
        raise BadInput("params", f"{members(params)} networks", "one network (K = 1)")


def _has_filters(weight: Tensor) -> bool:
    return weight.dim() >= 3  # the member axis, the filters, and what a filter holds


def _filter_norms(weight: Tensor) -> Tensor:
    """The norm of each filter of [1, filters, ...], shaped to broadcast against it."""
    norms = torch.linalg.vector_norm(weight.flatten(2), dim=-1)
    return norms.view(*norms.shape, *[1] * (weight.dim() - 2))


def _kept(mask: Mask | None, name: str, weight: Tensor) -> Tensor:
    if mask is None or name not in mask:
        return torch.ones_like(weight, dtype=torch.bool)
    if mask[name].shape != weight.shape:
        raise BadInput("mask", f"{name} {tuple(mask[name].shape)}", f"the parameter's shape {tuple(weight.shape)}")
    return mask[name].to(weight.device) != 0
