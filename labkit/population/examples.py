"""Clipped sums for any module: every example runs alone, by formulas where all layers have some, else by `vmap`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from labkit.errors import BadInput
from labkit.population.autograd import row_losses
from labkit.population.clipping import SLACK_OF_SUMS, Clipped, add_gradients, clip_factors, silence_
from labkit.population.norms import NUMBERS, length
from labkit.population.params import Params, members, weights_per_member
from labkit.population.precision import matmul_precision
from labkit.population.taps import Layer, hooked


def refuse_batch_norm(module: nn.Module) -> None:
    """Raises BadInput for a module in which examples see each other."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            allowed = (
                "a module without BatchNorm (GroupNorm will do): with it one example's gradient depends on the others"
            )
            raise BadInput("model", f"{type(layer).__name__} {name}".strip(), allowed)


def clip_by_taps(
    module: nn.Module,
    forms: Mapping[str, Layer],
    shapes: Mapping[str, torch.Size],
    params: Params,
    x: Tensor,
    y: Tensor,
    out: Params,
    *,
    shared: bool,
    clip: Tensor,
    weight: Tensor,
    fresh: bool,
    masks: Params | None,
) -> Clipped:
    """`Architecture.clipped_sum` for a module all of whose layers have formulas.

    Args:
        forms, shapes: formulas of the layers, and the output shapes of those that one example passes through.
        y: [K, B].
        shared: whether all members see the same x.
    """
    held = masks or {}
    inputs, deltas, losses = _tapped(module, forms, shapes, params, x, y, shared)
    with matmul_precision(False), torch.no_grad():  # the reason stands at MLP.clipped_sum
        squares = torch.zeros_like(losses)
        for name, delta in deltas.items():
            own = (held.get(_parameter(name, kind)) for kind in ("weight", "bias"))
            squares += forms[name].squares(inputs[name], delta, *own)
        factors, report = clip_factors(squares.sqrt_(), clip, weight, losses, slack=SLACK_OF_SUMS)
        total = {name: torch.zeros_like(tensor) for name, tensor in params.items()}  # a layer may be unused
        for name, delta in deltas.items():
            a = inputs[name] if not inputs[name].is_floating_point() else silence_(inputs[name].clone())
            scaled = silence_(delta * factors.view(*factors.shape, *[1] * (delta.dim() - 2)))
            total |= {_parameter(name, kind): sums for kind, sums in forms[name].sums(a, scaled).items()}
        add_gradients(out, total, fresh=fresh, masks=masks)
    return report


def _parameter(layer: str, kind: str) -> str:
    return f"{layer}.{kind}" if layer else kind


def _tapped(
    module: nn.Module,
    forms: Mapping[str, Layer],
    shapes: Mapping[str, torch.Size],
    params: Params,
    x: Tensor,
    y: Tensor,
    shared: bool,
) -> tuple[Params, Params, Tensor]:
    """What each layer recorded, the gradients at its output [K, B, ...], and the losses [K, B]."""
    first = next(iter(params.values()))
    taps = {
        name: torch.zeros(*y.shape, *shape, device=first.device, dtype=first.dtype, requires_grad=True)
        for name, shape in shapes.items()
    }

    def one(own: Params, example: Tensor, tap: Params) -> tuple[Tensor, Params]:
        recorded: Params = {}

        def change(name: str, given: Tensor, output: Tensor) -> Tensor:
            recorded[name] = forms[name].record(given.detach())
            return output + tap[name]

        with hooked(module, shapes, change):
            return functional_call(module, own, (example.unsqueeze(0),)).squeeze(0), recorded

    own = {name: tensor.detach() for name, tensor in params.items()}
    with torch.enable_grad():
        logits, inputs = vmap(vmap(one, (None, 0, 0)), (0, None if shared else 0, 0))(own, x, taps)
        losses = row_losses(logits, y)
        deltas = torch.autograd.grad(losses.sum(), list(taps.values()), materialize_grads=True)
    return inputs, dict(zip(taps, deltas, strict=True)), losses.detach()


@torch.no_grad()
def clip_by_vmap(
    module: nn.Module,
    params: Params,
    x: Tensor,
    y: Tensor,
    out: Params,
    *,
    shared: bool,
    clip: Tensor,
    weight: Tensor,
    fresh: bool,
    masks: Params | None,
) -> Clipped:
    """`Architecture.clipped_sum` for any module: the gradients of a few examples at a time, in full."""

    def loss(own: Params, example: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(module, own, (example.unsqueeze(0),)), label.unsqueeze(0))

    each = vmap(vmap(grad_and_value(loss), (None, 0, 0)), (0, None if shared else 0, 0))
    count, batch = y.shape
    numbers = count * weights_per_member({name: tuple(tensor.shape[1:]) for name, tensor in params.items()})
    size = max(1, NUMBERS[y.device.type] // numbers)
    weight = weight.expand(members(params), batch)
    total: Params = {}
    norms, losses = [], []
    for start in range(0, batch, size):
        some = slice(start, start + size)
        gradients, found = each(params, x[some] if shared else x[:, some], y[:, some])
        with matmul_precision(False):
            for name, mask in (masks or {}).items():
                gradients[name] = gradients[name] * mask.unsqueeze(1)
            lengths = [length(g.reshape(*g.shape[:2], -1)) for g in gradients.values()]
            norms.append(torch.linalg.vector_norm(torch.stack(lengths), dim=0))
            losses.append(found)
            factors, _ = clip_factors(norms[-1], clip, weight[:, some], found, slack=SLACK_OF_SUMS)
            for name, gradient in gradients.items():
                scaled = silence_(gradient * factors.view(*factors.shape, *[1] * (gradient.dim() - 2))).sum(1)
                total[name] = total[name] + scaled if name in total else scaled
    add_gradients(out, total, fresh=fresh, masks=masks)
    return clip_factors(torch.cat(norms, 1), clip, weight, torch.cat(losses, 1))[1]
