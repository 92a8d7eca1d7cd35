"""Sums over examples of the absolute values of layer gradients, which no product of matrices gives at once.

Arguments as for `labkit.population.sums`; `delta` already holds each example's clip factor.
"""

from __future__ import annotations

from torch import Tensor

from labkit.finetune.each import each_linear
from labkit.population import sums
from labkit.population.norms import Geometry, blocks


def absolute_linear(a: Tensor, delta: Tensor) -> Tensor:
    """sum_i |g_i| of a linear layer's weights, [K, out, in]; a [K, B, (T,) in], delta [K, B, (T,) out].

    With one position a gradient is an outer product, and so is its absolute value.
    """
    return sums.linear(a.abs(), delta.abs()) if a.dim() == 3 else _positions(a, delta)


def absolute_convolution(a: Tensor, delta: Tensor, geometry: Geometry) -> Tensor:
    """sum_i |g_i| of a convolution's filters, [K, out, C, kernel, kernel].

    Args:
        a: images [K, B, C, h, w].
        delta: [K, B, out, h', w'].
    """
    numbers = a.shape[2] * geometry.kernel[0] * geometry.kernel[1] * delta.shape[3] * delta.shape[4]
    total = delta.new_zeros(len(delta), delta.shape[2], a.shape[2] * geometry.kernel[0] * geometry.kernel[1])
    for members, examples in blocks(delta, numbers):
        rows = geometry.patches(a[members, examples])
        back = delta[members, examples].flatten(3).transpose(2, 3)
        total[members] += _positions(rows, back)
    return total.view(len(delta), delta.shape[2], a.shape[2], *geometry.kernel)


def _positions(a: Tensor, delta: Tensor) -> Tensor:
    total = delta.new_zeros(len(delta), delta.shape[-1], a.shape[-1])
    for members, examples in blocks(delta, a.shape[-1] * delta.shape[-1]):
        total[members] += each_linear(a[members, examples], delta[members, examples]).abs_().sum(1)
    return total
