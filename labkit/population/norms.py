"""Squared norms of per-example gradients, from what went into a layer and what came back to its output.

Every function takes the input of K members' layers, [K, B, ...] or [B, ...] where all members saw the same, `delta`
[K, B, ...], the gradient of each example's own loss with respect to the layer's output, and 0/1 masks [K, ...] shaped
as the parameter, or None. It returns [K, B]. No function holds the gradients of all examples at once.

Sources: Goodfellow 2015 (1510.01799) for vectors; Li et al. 2022 (2110.05679, section 4) for products of Gram
matrices; Bu et al. 2022 (2205.10683, section 3.2) for choosing between these and the gradients themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers held at once. Fixed, not a share of the free memory: a resumed run must add in the same order.
NUMBERS = {"cpu": 1 << 21, "cuda": 1 << 26}
LONG = 1024  # numbers that are squared and added in one go


@dataclass(frozen=True)
class Geometry:
    """How a convolution walks over its input: (height, width) each, as in `nn.Conv2d`."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def patches(self, images: Tensor) -> Tensor:
        """[..., C, h, w] -> [..., positions, C * kernel]: the rows that a convolution multiplies by its weights."""
        flat = images.reshape(-1, *images.shape[-3:])
        unfold = self._unfolded if flat.is_cuda else self._library
        rows = unfold(flat).transpose(1, 2)
        return rows.view(*images.shape[:-3], *rows.shape[1:])

    def _library(self, flat: Tensor) -> Tensor:
        return F.unfold(flat, self.kernel, self.dilation, self.padding, self.stride)

    def _unfolded(self, flat: Tensor) -> Tensor:
        """The same as one copy of a strided view: on CUDA the library launches a kernel for each image."""
        (up, left), (down, right) = self.padding, self.stride
        padded = F.pad(flat, (left, left, up, up)).contiguous()
        count, channels, height, width = padded.shape
        span = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True)]
        places = ((height - span[0]) // down + 1, (width - span[1]) // right + 1)
        image, channel, line, pixel = padded.stride()
        views = padded.as_strided(
            (count, channels, *self.kernel, *places),
            (image, channel, line * self.dilation[0], pixel * self.dilation[1], line * down, pixel * right),
            padded.storage_offset(),
        )
        return views.reshape(count, channels * self.kernel[0] * self.kernel[1], places[0] * places[1])


def length(tensor: Tensor) -> Tensor:
    """Lengths of the vectors along the last axis.

    Long ones in pieces: in one running sum of many equal squares each rounding may go the same way.
    """
    numbers = tensor.shape[-1]
    if numbers <= LONG:
        return torch.linalg.vector_norm(tensor, dim=-1)
    whole = numbers // LONG * LONG
    pieces = [tensor[..., :whole].unflatten(-1, (-1, LONG)), tensor[..., whole:].unsqueeze(-2)]
    return torch.linalg.vector_norm(torch.cat([torch.linalg.vector_norm(p, dim=-1) for p in pieces], -1), dim=-1)


def square(tensor: Tensor) -> Tensor:
    """The squared length of everything behind the axes of members and examples."""
    return length(tensor.flatten(2)).square_()


def linear(a: Tensor, delta: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights of a linear layer that sees one vector per example: |delta|^2 |a|^2, or (delta^2)^T M (a^2).

    Args:
        a: [K, B, in] or [B, in].
        delta: [K, B, out].
        mask: [K, out, in].
    """
    if mask is None:
        return length(delta).mul(length(a)).square_()
    squares = a.square().expand(len(delta), *a.shape[-2:])
    return torch.bmm(squares, mask.to(a.dtype).transpose(1, 2)).mul_(delta.square()).sum(-1)


def positions(a: Tensor, delta: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights of a linear layer that sees T vectors per example, whose gradients add up before the norm.

    Args:
        a: [K, B, T, in] or [B, T, in].
        delta: [K, B, T, out].
        mask: [K, out, in].
    """
    length, inputs, outputs = *a.shape[-2:], delta.shape[-1]
    by_gram = mask is None and length * (inputs + outputs) < inputs * outputs
    numbers = 2 * length * length if by_gram else inputs * outputs
    result = delta.new_empty(delta.shape[:2])
    for members, examples in blocks(delta, numbers):
        part = _rows(a, delta, members, examples), delta[members, examples]
        result[members, examples] = _gram(*part) if by_gram else _direct(*part, mask, members)
    return result


def convolution(a: Tensor, delta: Tensor, geometry: Geometry, mask: Tensor | None = None) -> Tensor:
    """Weights of a convolution without groups: a linear layer over the patches of the image.

    Args:
        a: images [K, B, C, h, w] or [B, C, h, w].
        delta: [K, B, out, h', w'].
        mask: [K, out, C, kernel, kernel].
    """
    flat = None if mask is None else mask.flatten(2)
    numbers = a.shape[-3] * geometry.kernel[0] * geometry.kernel[1] * delta.shape[-2] * delta.shape[-1]
    result = delta.new_empty(delta.shape[:2])
    for members, examples in blocks(delta, numbers):  # unfolded images are many times larger than images
        rows = geometry.patches(_rows(a, delta, members, examples))
        back = delta[members, examples].flatten(3).transpose(2, 3)
        result[members, examples] = positions(rows, back, None if flat is None else flat[members])
    return result


def bias(delta: Tensor, mask: Tensor | None = None) -> Tensor:
    """A bias added at every position.

    Args:
        delta: [K, B, T, out], or [K, B, out] for one position.
        mask: [K, out].
    """
    total = delta.sum(2) if delta.dim() == 4 else delta
    return square(total if mask is None else total * mask.unsqueeze(1))


def embedding(rows: Tensor, delta: Tensor, mask: Tensor | None = None) -> Tensor:
    """A table of vectors: what an example sends to one row adds up before the norm, however often it looks there.

    Args:
        rows: integers [K, B, T] or [B, T].
        delta: [K, B, T, d].
        mask: [K, V, d].
    """
    ordered, order = rows.sort(-1)
    number = F.pad((ordered.diff(dim=-1) != 0).long(), (1, 0)).cumsum(-1)
    group = torch.empty_like(number).scatter_(-1, order, number)  # equal where the row of the table is
    total = torch.zeros_like(delta).scatter_add_(2, group.expand(delta.shape[:3]).unsqueeze(-1).expand_as(delta), delta)
    if mask is not None:
        first = torch.zeros_like(rows).scatter_(-1, group, rows).expand(delta.shape[:3])  # the row of each group
        each = torch.arange(len(delta), device=delta.device).view(-1, 1, 1)
        total = total * mask[each, first]
    return square(total)


def affine(normalised: Tensor, delta: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scale of a normalisation layer; its shift is `bias`.

    Args:
        normalised: the input after normalisation, before scale and shift, [K, B, T, parameters].
        delta: [K, B, T, parameters].
        mask: [K, parameters].
    """
    total = (normalised * delta).sum(2)
    return square(total if mask is None else total * mask.unsqueeze(1))


def blocks(delta: Tensor, numbers: int) -> Iterator[tuple[slice, slice]]:
    """Members and examples to work on together, so that `numbers` for each of them stay within bounds."""
    count, batch = delta.shape[:2]
    fits = max(1, NUMBERS[delta.device.type] // max(1, numbers))
    examples = max(1, min(batch, fits // count))
    members = max(1, min(count, fits // examples))
    for k in range(0, count, members):
        for b in range(0, batch, examples):
            yield slice(k, k + members), slice(b, b + examples)


def _rows(a: Tensor, delta: Tensor, members: slice, examples: slice) -> Tensor:
    return a[members, examples] if a.dim() == delta.dim() else a[examples]


def _gram(a: Tensor, delta: Tensor) -> Tensor:
    # float64: the products have both signs, and what cancels in float32 may leave less than their rounding
    a, delta = a.double(), delta.double()
    products = torch.matmul(a, a.transpose(-1, -2)) * torch.matmul(delta, delta.transpose(-1, -2))
    return products.sum((-1, -2)).clamp_(min=0)


def _direct(a: Tensor, delta: Tensor, mask: Tensor | None, members: slice) -> Tensor:
    shared = a.dim() < delta.dim()
    gradient = torch.einsum("kbto,bti->kboi" if shared else "kbto,kbti->kboi", delta, a)
    if mask is not None:
        gradient *= mask[members].to(a.dtype).unsqueeze(1)
    return square(gradient)
