"""Gradients of single examples that add up over positions; arguments as for `labkit.population.norms`."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.population.norms import Geometry, blocks


def each_linear(a: Tensor, delta: Tensor) -> Tensor:
    """Of a linear layer's weights, [K, B, out, in]; a [K, B, T, in], delta [K, B, T, out]."""
    return torch.matmul(delta.transpose(2, 3), a)


def each_convolution(a: Tensor, delta: Tensor, geometry: Geometry) -> Tensor:
    """Of a convolution's filters, [K, B, out, C * kernel]; a [K, B, C, h, w], delta [K, B, out, h', w']."""
    inputs = a.shape[2] * geometry.kernel[0] * geometry.kernel[1]
    made = delta.new_empty(*delta.shape[:3], inputs)
    for members, examples in blocks(delta, inputs * delta.shape[3] * delta.shape[4]):
        rows, back = geometry.patches(a[members, examples]), delta[members, examples].flatten(3)
        made[members, examples] = torch.matmul(back, rows)
    return made
