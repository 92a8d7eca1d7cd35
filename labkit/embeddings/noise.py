"""The random numbers of one private training, by purpose and step, so that any step can be repeated without a state."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from labkit.privacy.noise import fill_normal
from labkit.streams import stream_seed

# What a step draws numbers for; each has a key of its own, derived from the release's.
MAP, PLACES, ROWS, DENSE, PENDING, FLUSH = "map", "places", "rows", "dense", "pending", "flush"
PURPOSES = (MAP, PLACES, ROWS, DENSE, PENDING, FLUSH)


class StepNoise:
    """Normal numbers and selections of rows that depend on the key, the purpose and the step alone.

    Args:
        key: of this release (`Plan.noise_key`), as secret as the noise.
        device: a CUDA device has other numbers of the same law than a CPU, from kernels that read the step there.
    """

    def __init__(self, key: int, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.keys = {name: stream_seed(key, name) for name in PURPOSES}
        if self.device.type == "cuda":
            self.held = {name: torch.tensor([k], dtype=torch.int64, device=device) for name, k in self.keys.items()}

    def normal(self, purpose: str, step: int, *shape: int) -> Tensor:
        """Standard normal float32 numbers on the CPU."""
        numbers = torch.empty(1, math.prod(shape))
        if numbers.numel():
            fill_normal(numbers, [self.keys[purpose]], step, [True])
        return numbers.view(shape)

    def generator(self, purpose: str, step: int) -> np.random.Generator:
        """A NumPy generator for one purpose and step."""
        return np.random.Generator(np.random.Philox(key=self.keys[purpose], counter=[0, 0, 0, step]))
