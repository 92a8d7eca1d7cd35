"""Node space: whole hidden nodes stay or go, an exact number per layer (2403.08265, as specified in this lab)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from labkit.population import Params
from labkit.streams import stream

BLOCK = 256  # candidates drawn from one generator: a generator for each would cost more than its numbers


def kept_counts(hidden: Sequence[int], sparsity: float) -> tuple[int, ...]:
    """Nodes that stay in each hidden layer: (1 - sparsity) * nodes, rounded half up. Input and output always stay.

    Args:
        sparsity: share of the nodes of every hidden layer that is removed. Two consecutive layers that keep a share
            d of their nodes keep d * d of the weights between them: this is not the share of weights removed.
    """
    return tuple(int((1 - sparsity) * nodes + 0.5) for nodes in hidden)


def draw_nodes(
    hidden: Sequence[int], sparsity: float, seed: int, candidates: Sequence[int], device: torch.device | str = "cpu"
) -> list[Tensor]:
    """Indices of the nodes that stay, uniform without replacement and sorted: one [len(candidates), n] per layer.

    Every block of `BLOCK` candidates has a generator of its own and is drawn whole, so candidate i is the same
    whichever others are drawn beside it. The random keys are made on the CPU and only sorted on `device`: the same
    sub-networks on every device.
    """
    blocks = sorted({candidate // BLOCK for candidate in candidates})
    place = {block: at * BLOCK for at, block in enumerate(blocks)}
    rows = torch.tensor([place[candidate // BLOCK] + candidate % BLOCK for candidate in candidates])
    generators = [stream(seed, "nodes", block) for block in blocks]
    drawn = []
    for nodes, count in zip(hidden, kept_counts(hidden, sparsity), strict=True):
        keys = torch.cat([torch.empty(BLOCK, nodes, dtype=torch.int32).random_(generator=g) for g in generators])[rows]
        if torch.device(device).type == "cuda":
            keys = keys.pin_memory()  # so that the next candidates are drawn while the device works on these
        # stable: where two of the 31-bit keys of a row are equal, every device keeps the same node first
        order = keys.to(device, non_blocking=True).argsort(dim=1, stable=True)
        drawn.append(order[:, :count].sort(1).values)
    return drawn


def node_masks(shapes: dict[str, tuple[int, ...]], kept: Sequence[Tensor]) -> Params:
    """The same sub-networks as 0/1 masks over the parent's parameters, [M, ...] each.

    A weight stays if both its nodes stay; a bias stays if its node does. For a linear layer after convolutions a
    channel's features stay together.
    """
    count, depth = kept[0].shape[0], len(kept) + 1
    sizes = [shapes[f"{layer}.weight"][0] for layer in range(depth - 1)]
    stays = [torch.zeros(count, size).scatter_(1, index.cpu(), 1.0) for size, index in zip(sizes, kept, strict=True)]
    masks: Params = {}
    for layer in range(depth):
        shape = shapes[f"{layer}.weight"]
        rows = stays[layer] if layer < depth - 1 else torch.ones(count, shape[0])
        columns = torch.ones(count, shape[1]) if layer == 0 else stays[layer - 1]
        columns = columns.repeat_interleave(shape[1] // columns.shape[1], dim=1)
        mask = rows.unsqueeze(2) * columns.unsqueeze(1)
        masks[f"{layer}.weight"] = mask.view(count, *shape[:2], *([1] * (len(shape) - 2))).expand(count, *shape)
        masks[f"{layer}.bias"] = rows
    return masks
