"""Sums over examples of layer gradients, from a layer's input and the gradient at its output.

Adding up `factor * delta` layer by layer, and not by a second backward pass of a weighted loss, makes each
contribution the very gradient whose norm was taken, whatever was rounded on the way to `delta`; it costs one product
a layer, and an example with NaN is silenced by zeros in its rows. Arguments are those of `labkit.population.norms`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.population.norms import Geometry


def linear(a: Tensor, delta: Tensor) -> Tensor:
    """Weights [K, out, in] of a linear layer; a [K, B, (T,) in] or [B, (T,) in], delta [K, B, (T,) out]."""
    shared, count = a.dim() < delta.dim(), len(delta)
    rows = a.reshape(-1, a.shape[-1]).expand(count, -1, -1) if shared else a.reshape(count, -1, a.shape[-1])
    return torch.bmm(delta.reshape(count, -1, delta.shape[-1]).transpose(1, 2), rows)


def convolution(a: Tensor, delta: Tensor, geometry: Geometry) -> Tensor:
    """Weights [K, out, C, kernel, kernel]; a [K, B, C, h, w] or [B, C, h, w], delta [K, B, out, h', w'].

    On the CPU one call per member, for the reason given at `labkit.population.cnn.convolve`.
    """
    count, outputs = delta.shape[0], delta.shape[2]
    shape = (outputs, a.shape[-3], *geometry.kernel)
    if a.device.type == "cpu":
        each = [a] * count if a.dim() == 4 else a
        return torch.stack([_weights(m, d, shape, geometry, 1) for m, d in zip(each, delta, strict=True)])
    groups = 1 if a.dim() == 4 else count
    maps = a if a.dim() == 4 else a.transpose(0, 1).flatten(1, 2)
    stacked = (count * outputs, *shape[1:])
    return _weights(maps, delta.transpose(0, 1).flatten(1, 2), stacked, geometry, groups).view(count, *shape)


def embedding(rows: Tensor, delta: Tensor, vocabulary: int) -> Tensor:
    """The table [K, V, d]; rows [K, B, T] or [B, T], delta [K, B, T, d]."""
    count, width = delta.shape[0], delta.shape[-1]
    first = torch.arange(count, device=delta.device).view(-1, 1, 1) * vocabulary
    places = (rows.expand(delta.shape[:3]) + first).flatten()
    table = delta.new_zeros(count * vocabulary, width).index_add_(0, places, delta.reshape(-1, width))
    return table.view(count, vocabulary, width)


def _weights(maps: Tensor, delta: Tensor, shape: tuple[int, ...], geometry: Geometry, groups: int) -> Tensor:
    return torch.nn.grad.conv2d_weight(
        maps.contiguous(), shape, delta.contiguous(), geometry.stride, geometry.padding, geometry.dilation, groups
    )
