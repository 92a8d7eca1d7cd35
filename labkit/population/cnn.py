"""Stacked small convolutional networks: the members are the groups of one grouped convolution."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.population import norms, sums
from labkit.population.architecture import HeInitialised
from labkit.population.autograd import accumulate_by_autograd, row_losses
from labkit.population.clipping import SLACK_OF_SUMS, Clipped, add_gradients, clip_factors, silence, silence_
from labkit.population.params import Params, Shapes, members
from labkit.population.precision import matmul_precision


def block(maps: Tensor, weight: Tensor, bias: Tensor, *, shared: bool) -> Tensor:
    """Convolution, ReLU and 2 x 2 max-pooling of each member; arguments as `convolve`."""
    if not torch.is_grad_enabled() and fusible(maps, weight):
        from labkit.population.fused_conv import convolve_pool  # Triton comes with PyTorch's CUDA builds alone

        return convolve_pool(maps, weight, bias, shared=shared)
    # ReLU after pooling is the same as before it, on a quarter of the numbers
    return F.relu_(F.max_pool2d(convolve(maps, weight, bias, shared=shared), 2))


def fusible(maps: Tensor, weight: Tensor) -> bool:
    """Whether one CUDA kernel serves: float32, 3 x 3 kernels, even maps. Without TF32 its products of several input
    channels would miss the matrix units and be slower than the library's."""
    plain = maps.device.type == "cuda" and maps.dtype == torch.float32 and maps.is_contiguous()
    even = maps.shape[-1] % 2 == 0 and maps.shape[-2] % 2 == 0
    return plain and even and weight.shape[-1] == 3 and (weight.shape[2] == 1 or torch.backends.cudnn.allow_tf32)


def convolve(maps: Tensor, weight: Tensor, bias: Tensor, *, shared: bool) -> Tensor:
    """Each member's convolution, keeping the size of the maps: [B, K * out, h, w].

    One grouped convolution on a GPU. On the CPU one call per member: the library blocks over all channels at once,
    and a member's last bits would depend on its neighbours.

    Args:
        maps: [B, in, h, w] where `shared`, else [B, K * in, h, w].
        weight, bias: [K, out, in, k, k] and [K, out].
    """
    padding = weight.shape[-1] // 2
    if maps.device.type == "cpu":
        each = [maps] * weight.shape[0] if shared else maps.chunk(weight.shape[0], 1)
        return torch.cat([F.conv2d(m, w, b, padding=padding) for m, w, b in zip(each, weight, bias, strict=True)], 1)
    groups = 1 if shared else weight.shape[0]
    return F.conv2d(maps, weight.flatten(0, 1), bias.flatten(), padding=padding, groups=groups)


@dataclass(frozen=True)
class CNN(HeInitialised):
    """K networks of convolution, ReLU and 2 x 2 max-pooling blocks, then one linear layer.

    Args:
        channels: output channels of each block.
        image: channels, height and width of an input.
        classes: number of classes.
        kernel: side of the square kernels, odd; images keep their size before pooling.
    """

    channels: tuple[int, ...]
    image: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    kernel: int = 3

    @property
    def depth(self) -> int:
        """The number of weight layers."""
        return len(self.channels) + 1

    @property
    def area(self) -> int:
        """Pixels of one channel's map after the last pooling."""
        blocks = len(self.channels)
        return (self.image[1] >> blocks) * (self.image[2] >> blocks)

    def shapes(self) -> Shapes:
        sizes = (self.image[0], *self.channels)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            shapes[f"{layer}.weight"] = (outputs, inputs, self.kernel, self.kernel)
        shapes[f"{self.depth - 1}.weight"] = (self.classes, sizes[-1] * self.area)
        for layer, outputs in enumerate((*self.channels, self.classes)):
            shapes[f"{layer}.bias"] = (outputs,)
        return shapes

    def logits(self, params: Params, x: Tensor) -> Tensor:
        count = members(params)
        own = x.dim() == 5
        maps = x.transpose(0, 1).flatten(1, 2) if own else x  # [B, K * C, h, w] where members differ
        for layer in range(len(self.channels)):
            weight, bias = params[f"{layer}.weight"], params[f"{layer}.bias"]
            maps = block(maps, weight, bias, shared=not own and layer == 0)
        features = maps.view(maps.shape[0], count, -1).transpose(0, 1)
        last = self.depth - 1
        return torch.baddbmm(params[f"{last}.bias"].unsqueeze(1), features, params[f"{last}.weight"].transpose(1, 2))

    def accumulate(self, params: Params, x: Tensor, y: Tensor, out: Params, *, decay: float, scale: Tensor) -> Tensor:
        return accumulate_by_autograd(self.logits, params, x, y, out, decay=decay, scale=scale)

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
        inputs, deltas, losses = self._tapped(params, x, y)
        held, kernel = masks or {}, (self.kernel, self.kernel)
        geometry = norms.Geometry(kernel, padding=(self.kernel // 2, self.kernel // 2))
        with matmul_precision(False), torch.no_grad():  # the reason stands at MLP.clipped_sum
            squares = torch.zeros_like(losses)
            for layer, (a, delta) in enumerate(zip(inputs, deltas, strict=True)):
                mask, bias_mask = held.get(f"{layer}.weight"), held.get(f"{layer}.bias")
                if layer < self.depth - 1:
                    squares += norms.convolution(a, delta, geometry, mask)
                    squares += norms.bias(delta.flatten(3).transpose(2, 3), bias_mask)
                else:
                    squares += norms.linear(a, delta, mask) + norms.bias(delta, bias_mask)
            factors, report = clip_factors(squares.sqrt_(), clip, weight, losses, slack=SLACK_OF_SUMS)
            total: Params = {}
            for layer, (a, delta) in enumerate(zip(inputs, deltas, strict=True)):
                a = silence_(a) if layer else silence(a)  # the images are the caller's
                delta = silence_(delta * factors.view(*factors.shape, *[1] * (delta.dim() - 2)))
                last = layer == self.depth - 1
                total[f"{layer}.weight"] = sums.linear(a, delta) if last else sums.convolution(a, delta, geometry)
                total[f"{layer}.bias"] = delta.sum(1) if last else delta.sum((1, 3, 4))
            add_gradients(out, total, fresh=fresh, masks=masks)
        return report

    def _tapped(self, params: Params, x: Tensor, y: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Each layer's input, the gradient of the examples' losses at its output [K, B, ...], and these losses."""
        count, last = members(params), self.depth - 1
        with torch.enable_grad():
            own = x.dim() == 5
            maps = x.transpose(0, 1).flatten(1, 2) if own else x
            inputs, outputs = [x], []
            for layer in range(last):
                weight, bias = params[f"{layer}.weight"].detach(), params[f"{layer}.bias"].detach()
                outputs.append(convolve(maps, weight, bias, shared=not own and layer == 0))
                if not layer:
                    outputs[0].requires_grad_()  # nothing before it does: the backward pass ends here
                maps = F.relu_(F.max_pool2d(outputs[-1], 2))
                inputs.append(maps.detach().view(len(maps), count, -1, *maps.shape[2:]).transpose(0, 1))
            inputs[-1] = inputs[-1].flatten(2)
            features = maps.view(len(maps), count, -1).transpose(0, 1)
            weight, bias = params[f"{last}.weight"].detach(), params[f"{last}.bias"].detach()
            outputs.append(torch.baddbmm(bias.unsqueeze(1), features, weight.transpose(1, 2)))
            losses = row_losses(outputs[-1], y)
            deltas = torch.autograd.grad(losses.sum(), outputs)
        apart = [d.view(len(d), count, -1, *d.shape[2:]).transpose(0, 1) for d in deltas[:-1]]
        return inputs, [*apart, deltas[-1]], losses.detach()

    def sliced(self, params: Params, kept: Sequence[Tensor]) -> tuple[CNN, Params]:
        count = kept[0].shape[0]
        narrow = CNN(tuple(index.shape[1] for index in kept), self.image, self.classes, self.kernel)
        small: Params = {}
        for layer in range(self.depth):
            weight = params[f"{layer}.weight"].expand(count, *params[f"{layer}.weight"].shape[1:])
            bias = params[f"{layer}.bias"].expand(count, -1)
            each = torch.arange(count, device=weight.device).unsqueeze(1)
            if layer < self.depth - 1:
                weight, bias = weight[each, kept[layer]], bias[each, kept[layer]]
            if layer:
                if layer == self.depth - 1:  # a channel's features stay together
                    weight = weight.unflatten(2, (-1, self.area))
                weight = weight.transpose(1, 2)[each, kept[layer - 1]].transpose(1, 2)
                if layer == self.depth - 1:
                    weight = weight.flatten(2)
            small[f"{layer}.weight"], small[f"{layer}.bias"] = weight, bias
        return narrow, {name: small[name].contiguous() for name in narrow.shapes()}

    def activation_numbers(self) -> int:
        pixels = self.image[1] * self.image[2]
        return sum(int(4.5 * c * (pixels >> (2 * layer))) for layer, c in enumerate(self.channels)) + 4 * self.classes
