"""Random search over sets of rows: one of K random sets is chosen privately by the loss after a step in it.

A candidate is the network moved in that set's rows alone, along a gradient that was released with noise before. What
it costs is the gradient's epoch and one run of the exponential mechanism (`labkit.privacy.selection`), whatever K is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.finetune.network import Network
from labkit.finetune.rows import Rows
from labkit.finetune.tail import Tail
from labkit.population.params import Params
from labkit.privacy.selection import clipped_loss_sum

REACH = 0.1  # length of a step in a layer, over the length of its public weights; public
AT_ONCE = 1024  # examples


@torch.no_grad()
def losses_after(
    network: Network,
    gradient: Params,
    candidates: Sequence[Rows],
    x: Tensor,
    y: Tensor,
    bound: float,
    *,
    base: Mapping[str, Tensor] | None = None,
    at: int = 0,
) -> Iterator[Tensor]:
    """For each candidate the sum over examples of its clipped loss, float64 [], one at a time so that one can stop.

    Args:
        gradient: released, [rows, ...] by weight; a step goes against it, in each layer by `REACH` of its weights'
            length if all rows moved.
        candidates: sets of rows.
        x, y: the private examples, [n, ...] images and [n].
        bound: of a loss, public (`labkit.privacy.selection.clipped_loss_sum`).
        base: values in place of the network's own, such as a new head's.
        at: the number of the stage that x is the input of; 0 for images.
    """
    tail = Tail(network, list(gradient), base=base)
    features, start = tail.features(x, at), tail.start({})
    step = {name: g * (REACH * start[name][0].norm() / g.norm().clamp(min=1e-30)) for name, g in gradient.items()}
    for rows in candidates:
        moved = {name: value.clone() for name, value in start.items()}
        for name, index in rows.items():
            index = index.to(x.device)
            moved[f"{name}.weight"][0, index] -= step[f"{name}.weight"][index].to(moved[f"{name}.weight"])
        total = torch.zeros((), dtype=torch.float64)
        for part, labels in zip(features.split(AT_ONCE), y.split(AT_ONCE), strict=True):
            losses = F.cross_entropy(tail.logits(moved, part)[0], labels, reduction="none")
            total += clipped_loss_sum(losses, bound).cpu()
        yield total
