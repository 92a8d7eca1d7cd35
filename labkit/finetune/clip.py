"""The clipped sum over what moves, from what a backward pass recorded: exact norms over all layers together."""

from __future__ import annotations

from collections.abc import Mapping

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

    A gradient that is a sum over positions is made once for each example as long as `HELD` numbers suffice, for its
    norm and for the sum; other weights are told by formulas, one for the norm and one for the sum.

    Args:
        found: of `labkit.finetune.tapped`.
        absolute: whether to add up the absolute values of the clipped gradients; weights alone then move.
    """
    inputs, deltas, losses = found
    left = HELD[losses.device.type]
    with matmul_precision(False), torch.no_grad():  # the reason stands at MLP.clipped_sum
        squares, units, told = torch.zeros_like(losses), {}, []
        for name, layer in layers.items():
            a, delta = inputs[name], deltas[name]
            units |= {f"{name}.{kind}": each for kind, each in layer.small(a, delta).items()}
            if not layer.large:
                continue
            numbers = layer.numbers(a, delta)
            if numbers and numbers <= left:
                left -= numbers
                units[f"{name}.weight"] = layer.each(a, delta)
            else:
                told.append(name)
                squares += layer.squares(a, delta)
        for each in units.values():
            squares += norms.square(each)
        factors, report = clip_factors(squares.sqrt_(), clip, weight, losses, slack=SLACK_OF_SUMS)
        total: Params = {}
        for name, each in units.items():
            each = silence_(each).abs_() if absolute else silence_(each)
            total[name] = torch.bmm(factors.unsqueeze(1), each.flatten(2))[:, 0].view(len(each), *each.shape[2:])
        for name in told:
            a, delta = silence(inputs[name]), deltas[name]
            scaled = silence_(delta * factors.view(*factors.shape, *[1] * (delta.dim() - 2)))
            total[f"{name}.weight"] = layers[name].absolutes(a, scaled) if absolute else layers[name].sums(a, scaled)
        add_gradients(out, total, fresh=fresh, masks=None)
    return report
