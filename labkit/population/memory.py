"""How many members fit: predicted before anything is allocated."""

from __future__ import annotations

import torch

from labkit.device import memory_free
from labkit.population.architecture import Architecture
from labkit.population.params import weights_per_member

SHARE = 0.6  # of the free memory: the rest is left to the allocator's fragments and to everybody else
# More members at once gain nothing, make a chunk that is lost by a kill larger and a stop slower.
MOST = {"cpu": 64, "cuda": 4096}


def training_bytes(
    arch: Architecture, batch_size: int, *, buffers: int = 1, masked: bool = False, element: int = 4
) -> int:
    """Bytes one member needs while it trains: weights, gradient, optimiser buffers, masks and activations.

    Args:
        buffers: numbers the optimiser keeps per weight (1 for momentum, 3 for Adam).
        element: bytes per number.
    """
    per_weight = 2 + buffers + 2 * masked  # the initial copy and the gradient of architectures without a closed form
    return element * (per_weight * weights_per_member(arch.shapes()) + 3 * batch_size * arch.activation_numbers())


def evaluation_bytes(arch: Architecture, batch_size: int, *, element: int = 4) -> int:
    """Bytes one member needs while it is evaluated on `batch_size` examples at once."""
    return element * (weights_per_member(arch.shapes()) + batch_size * arch.activation_numbers())


def chunk_size(bytes_per_member: int, device: torch.device, *, count: int, share: float = SHARE) -> int:
    """Members to hold at once, at most `count`.

    Raises:
        MemoryError: not even one fits; the text says what one needs and what is free.
    """
    free = memory_free(device)
    fits = int(free * share) // max(bytes_per_member, 1)
    if fits < 1:
        need, have = bytes_per_member / 1e9, free / 1e9
        raise MemoryError(f"one network needs {need:.2f} GB on {device}; {have:.2f} GB are free")
    return min(count, fits, MOST.get(device.type, fits))


def chunks(count: int, size: int) -> list[range]:
    """The members 0 .. count - 1 in consecutive ranges of at most `size`."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]
