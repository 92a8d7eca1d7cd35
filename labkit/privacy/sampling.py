"""Poisson sampling: every example joins every step's batch by a coin of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PADDING = -1  # the row number of an empty place
AT_ONCE = 4096  # gaps drawn at once


@dataclass(frozen=True)
class Draws:
    """The batches of a run, laid out in slots of one fixed size, as a captured step needs them.

    A step takes one slot, or more where a draw is larger than a slot: none of it is left out. A step whose draw is
    empty takes one slot without an example.

    Args:
        rows: int32 [slots, G, P], row numbers of G independent draws; PADDING in empty places.
        ends: for each step, the number of slots through its last one.
    """

    rows: Tensor
    ends: tuple[int, ...]

    def sizes(self) -> np.ndarray:
        """How many examples each step drew, [steps, G]."""
        filled = (self.rows >= 0).sum(2).numpy()
        return np.add.reduceat(filled, [0, *self.ends[:-1]], axis=0)


def padded_size(examples: int, sample_rate: float) -> int:
    """Places of a slot: four standard deviations above the expected batch, which overflows once in 30,000 draws."""
    mean = examples * sample_rate
    return min(examples, 8 * math.ceil((mean + 4 * math.sqrt(mean * (1 - sample_rate)) + 1) / 8))


@dataclass(frozen=True)
class PoissonSampler:
    """Draws in which each of `examples` records is included in each step with probability `sample_rate`, independently
    of all others, of other steps and of other draws.

    Args:
        keys: for each of the G draws the 128-bit key of its random numbers (Philox: reproducible, and no cryptographic
            generator).
    """

    examples: int
    sample_rate: float
    keys: Sequence[int]

    def draw(self, steps: int, padded: int | None = None) -> Draws:
        """The batches of `steps` steps.

        Args:
            padded: places in a slot; None for `padded_size`. It changes the layout and no batch.
        """
        places = padded or padded_size(self.examples, self.sample_rate)
        chosen = [self._inclusions(key, steps) for key in self.keys]
        counts = np.stack([np.bincount(step, minlength=steps) for step, _ in chosen])
        slots = np.maximum(1, -(-counts.max(0) // places))
        ends = np.cumsum(slots)
        rows = np.full((slots.sum(), len(self.keys), places), PADDING, dtype=np.int32)
        for group, (step, row) in enumerate(chosen):
            place = np.arange(len(step)) - (np.cumsum(counts[group]) - counts[group])[step]
            rows[(ends - slots)[step] + place // places, group, place % places] = row
        return Draws(torch.from_numpy(rows), tuple(int(end) for end in ends))

    def _inclusions(self, key: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """Step and row of every inclusion, ordered by step.

        The coins of all steps stand in one line; the gaps between heads are geometric, so that only heads cost time.
        """
        coins, rate = steps * self.examples, self.sample_rate
        if rate in (0, 1):
            heads = np.arange(coins if rate else 0)
        else:
            generator = np.random.Generator(np.random.Philox(key=key))
            found, at = [], -1
            while at < coins:
                gaps = np.minimum(generator.geometric(rate, AT_ONCE), coins + 1)  # what is beyond the end may overflow
                found.append(at + np.cumsum(gaps))
                at = int(found[-1][-1])
            heads = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
            heads = heads[: np.searchsorted(heads, coins)]
        return heads // self.examples, heads % self.examples
