"""The clipped sum over what moves, from what a backward pass recorded: exact norms over all layers together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from labkit.finetune.moving import Moving
from labkit.finetune.tapped import Tapped
from labkit.population import norms
from labkit.population.clipping import SLACK_OF_SUMS, Clipped, add_gradients, clip_factors, silence, silence_
from labkit.population.params import Params
from labkit.population.precision import matmul_precision

# Numbers of per-example gradients held at once. Fixed, as for `norms.NUMBERS`.
HELD = {"cpu": 1 << 26, "cuda": 1 << 30}


def clipped(
    layers: Mapping[str, Moving],
    found: Tapped,
    out: Params,
    *,
    clip: Tensor,
    weight: Tensor,
    fresh: bool,
    absolute: bool = False,
) -> Clipped:
    """As `Architecture.clipped_sum`.

    Where an example's gradient is an outer product, its norm and the sum come from formulas. Where it adds up over
    positions its terms may cancel: it is made, and the same numbers serve for the norm and for the sum, so that what
    rounding has left of them cannot exceed the clip norm. Once, as long as `HELD` numbers suffice; else twice, a few
    examples at a time.

    Args:
        found: of `labkit.finetune.tapped`.
        absolute: whether to add up the absolute values of the clipped gradients; weights alone then move.
    """
    inputs, deltas, losses = found
    left = HELD[losses.device.type]
    with matmul_precision(False), torch.no_grad():  # the reason stands at MLP.clipped_sum
        squares, units, outer, twice = torch.zeros_like(losses), {}, [], []
        for name, layer in layers.items():
            a, delta = inputs[name], deltas[name]
            units |= {f"{name}.{kind}": each for kind, each in layer.small(a, delta).items()}
            if not layer.large:
                continue
            numbers = layer.numbers(a, delta)
            if not numbers:
                outer.append(name)
                squares += layer.squares(a, delta)
            elif numbers <= left:
                left -= numbers
                units[f"{name}.weight"] = layer.each(a, delta)
            else:
                twice.append(name)
                for some, each in _pieces(layer, a, delta):
                    squares[:, some] += norms.square(each)
        for each in units.values():
            squares += norms.square(each)
        factors, report = clip_factors(squares.sqrt_(), clip, weight, losses, slack=SLACK_OF_SUMS)
        total = {name: _weighted(each, factors, absolute) for name, each in units.items()}
        for name in twice:
            pieces = _pieces(layers[name], inputs[name], deltas[name])
            total[f"{name}.weight"] = sum(_weighted(each, factors[:, some], absolute) for some, each in pieces)
        for name in outer:
            a, delta = silence(inputs[name]), deltas[name]
            scaled = silence_(delta * factors.view(*factors.shape, *[1] * (delta.dim() - 2)))
            total[f"{name}.weight"] = layers[name].absolutes(a, scaled) if absolute else layers[name].sums(a, scaled)
        add_gradients(out, total, fresh=fresh, masks=None)
    return report


def _pieces(layer: Moving, a: Tensor, delta: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Gradients of a few examples at a time, and which they are of."""
    batch = delta.shape[1]
    size = max(1, norms.NUMBERS[delta.device.type] * batch // layer.numbers(a, delta))
    for start in range(0, batch, size):
        some = slice(start, start + size)
        yield some, layer.each(a[:, some], delta[:, some])


def _weighted(each: Tensor, factors: Tensor, absolute: bool) -> Tensor:
    """sum_i factor_i g_i, or factor_i |g_i|, [K, ...]; `each` is written over."""
    each = silence_(each).abs_() if absolute else silence_(each)
    return torch.bmm(factors.unsqueeze(1), each.flatten(2))[:, 0].view(len(each), *each.shape[2:])
