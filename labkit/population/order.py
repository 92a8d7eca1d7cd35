"""Which examples make each step's batch: fixed by seeds alone, so that a run can stop and go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def epoch_batches(seed: int, examples: int, batch_size: int, steps: int) -> Tensor:
    """Row numbers [steps, batch_size]: a fresh permutation each epoch, its incomplete last batch left out.

    Args:
        seed: seeds the generator of this order; the same seed gives the same batches on every device.
        examples: size of the training set; at least `batch_size`.
    """
    if not 0 < batch_size <= examples:
        raise ValueError(f"batch_size must be in [1, {examples}], the number of examples; got {batch_size}")
    generator = torch.Generator().manual_seed(seed)
    per_epoch = examples // batch_size
    epochs = [
        torch.randperm(examples, generator=generator)[: per_epoch * batch_size].view(per_epoch, batch_size)
        for _ in range(-(-steps // per_epoch))
    ]
    return torch.cat(epochs)[:steps] if epochs else torch.empty(0, batch_size, dtype=torch.long)


def member_batches(seeds: Sequence[int], examples: int, batch_size: int, steps: int) -> Tensor:
    """Row numbers [steps, K, batch_size], member k in the order of `seeds[k]`."""
    return torch.stack([epoch_batches(seed, examples, batch_size, steps) for seed in seeds], dim=1)
