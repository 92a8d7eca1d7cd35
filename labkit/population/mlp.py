"""Stacked multi-layer perceptrons: forward and backward in closed form, one batched product a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.population.architecture import HeInitialised, expand_labels
from labkit.population.clipping import SLACK, Clipped, apply_masks, clip_factors, silence, silence_
from labkit.population.norms import length
from labkit.population.params import Params, Shapes, members
from labkit.population.precision import matmul_precision


@dataclass(frozen=True)
class MLP(HeInitialised):
    """K perceptrons with ReLU between their layers.

    Args:
        widths: input, hidden and output sizes, e.g. (784, 256, 256, 10).
        compute: dtype of the matrix products; None for the parameters' own. bfloat16 keeps parameters in float32.
    """

    widths: tuple[int, ...]
    compute: torch.dtype | None = None

    @property
    def depth(self) -> int:
        """The number of weight layers."""
        return len(self.widths) - 1

    def shapes(self) -> Shapes:
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.depth):
            shapes[f"{layer}.weight"] = (self.widths[layer + 1], self.widths[layer])
        for layer in range(self.depth):
            shapes[f"{layer}.bias"] = (self.widths[layer + 1],)
        return shapes

    def logits(self, params: Params, x: Tensor) -> Tensor:
        return self._forward(params, x)[-1]

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor if self.compute is None else tensor.to(self.compute)

    def _forward(self, params: Params, x: Tensor) -> list[Tensor]:
        """The input [K, B, d] and each layer's output after its ReLU; the last entry is the logits."""
        held = [self._cast(x if x.dim() == 3 else x.expand(members(params), *x.shape))]
        for layer in range(self.depth):
            weight = self._cast(params[f"{layer}.weight"]).transpose(1, 2)
            out = torch.baddbmm(self._cast(params[f"{layer}.bias"]).unsqueeze(1), held[-1], weight)
            held.append(out if layer == self.depth - 1 else out.relu_())
        return held

    def accumulate(self, params: Params, x: Tensor, y: Tensor, out: Params, *, decay: float, scale: Tensor) -> Tensor:
        held = self._forward(params, x)
        log_p = F.log_softmax(held[-1].to(torch.promote_types(held[-1].dtype, torch.float32)), -1)
        y = expand_labels(y, log_p.shape[0]).unsqueeze(-1)
        loss = -log_p.gather(-1, y).squeeze(-1).mean(-1)
        # gradient of the mean cross-entropy with respect to the logits, times the member's scale
        delta = log_p.exp_().scatter_add_(-1, y, torch.full_like(log_p[..., :1], -1.0))
        delta = self._cast(delta.mul_((scale / log_p.shape[1]).view(-1, 1, 1)))
        for layer in reversed(range(self.depth)):
            self._into(out[f"{layer}.weight"], delta.transpose(1, 2), held[layer], decay)
            out[f"{layer}.bias"].mul_(decay).add_(delta.sum(1))
            if layer:
                delta = torch.bmm(delta, self._cast(params[f"{layer}.weight"]))
                delta = torch.ops.aten.threshold_backward(delta, held[layer], 0)  # ReLU: no gradient where it is 0
        return loss

    @staticmethod
    def _into(buffer: Tensor, a: Tensor, b: Tensor, decay: float) -> None:
        """buffer = decay * buffer + a @ b, in one kernel where the dtypes allow it."""
        if buffer.dtype == a.dtype:
            torch.baddbmm(buffer, a, b, beta=decay, out=buffer)
        else:
            buffer.mul_(decay).add_(torch.bmm(a, b))

    @torch.no_grad()
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
        held = self._forward(params, x)
        log_p = F.log_softmax(held[-1].to(torch.promote_types(held[-1].dtype, torch.float32)), -1)
        y = expand_labels(y, log_p.shape[0]).unsqueeze(-1)
        losses = -log_p.gather(-1, y).squeeze(-1)
        delta = self._cast(log_p.exp_().scatter_add_(-1, y, torch.full_like(log_p[..., :1], -1.0)))
        deltas = [delta]
        for layer in range(self.depth - 1, 0, -1):
            delta = torch.bmm(delta, self._cast(params[f"{layer}.weight"]))
            delta = torch.ops.aten.threshold_backward(delta, held[layer], 0)
            deltas.insert(0, delta)
        dtype = out["0.weight"].dtype
        deltas = [delta.to(dtype) for delta in deltas]
        inputs = [(held[0][0] if x.dim() == 2 else held[0]).to(dtype), *(a.to(dtype) for a in held[1:-1])]
        # TF32 rounds to 11 bits: a norm could come out too small by far more than the slack, and a summed product
        # could lift a contribution above the clip norm. Forward and delta only say *which* gradient is clipped.
        with matmul_precision(False):
            norms = self._norms(deltas, inputs, masks or {})
            slack = SLACK + (max(self.widths) // 4 if masks else 0)  # a product may add up in one long running sum
            factors, report = clip_factors(norms, clip, weight, losses, slack=slack)
            # The examples themselves may be the caller's, or one batch for all members
            inputs = [silence(inputs[0]), *(silence_(a) for a in inputs[1:])]
            for layer, (delta, a) in enumerate(zip(deltas, inputs, strict=True)):
                scaled = silence_(delta.mul_(factors.unsqueeze(-1)))
                a = a.expand(len(scaled), *a.shape[-2:])
                self._into(out[f"{layer}.weight"], scaled.transpose(1, 2), a, 0.0 if fresh else 1.0)
                bias = out[f"{layer}.bias"]
                torch.sum(scaled, 1, out=bias) if fresh else bias.add_(scaled.sum(1))
        apply_masks(out, masks)
        return report

    @staticmethod
    def _norms(deltas: Sequence[Tensor], inputs: Sequence[Tensor], masks: Params) -> Tensor:
        """Gradient norms [K, B] of the examples: a layer's gradient is an outer product of `delta` and input.

        |delta|^2 (|a|^2 + 1) for weights and bias (Goodfellow 2015, 1510.01799), and under masks M and m
        (delta^2)^T (M a^2 + m).
        """
        parts = deltas[0].new_empty(len(deltas), *deltas[0].shape[:2])
        for layer, (delta, a) in enumerate(zip(deltas, inputs, strict=True)):
            kept, kept_bias = masks.get(f"{layer}.weight"), masks.get(f"{layer}.bias")
            if kept is None and kept_bias is None:
                torch.mul(length(delta), torch.hypot(length(a), a.new_ones(())), out=parts[layer])
                continue
            bias = 1.0 if kept_bias is None else kept_bias.to(a.dtype).unsqueeze(1)
            if kept is None:
                reach = a.square().sum(-1, keepdim=True) + bias
            else:
                squares = a.square().expand(len(delta), *a.shape[-2:])
                reach = torch.bmm(squares, kept.to(a.dtype).transpose(1, 2)).add_(bias)
            torch.sum(reach * delta.square(), -1, out=parts[layer]).sqrt_()
        return torch.linalg.vector_norm(parts, dim=0)

    def sliced(self, params: Params, kept: Sequence[Tensor]) -> tuple[MLP, Params]:
        narrow = MLP((self.widths[0], *(index.shape[1] for index in kept), self.widths[-1]), self.compute)
        small: Params = {}
        for layer in range(self.depth):
            weight, bias = params[f"{layer}.weight"][0], params[f"{layer}.bias"][0]
            if layer < self.depth - 1:
                weight, bias = weight[kept[layer]], bias[kept[layer]]  # rows: [M, n, in], [M, n]
            else:
                weight, bias = (t.expand(kept[-1].shape[0], *t.shape) for t in (weight, bias))
            if layer:
                columns = kept[layer - 1].unsqueeze(1).expand(-1, weight.shape[1], -1)
                weight = weight.gather(2, columns)
            small[f"{layer}.weight"], small[f"{layer}.bias"] = weight, bias
        return narrow, {name: small[name].contiguous() for name in narrow.shapes()}

    def activation_numbers(self) -> int:
        return 2 * sum(self.widths) + 4 * self.widths[-1]
