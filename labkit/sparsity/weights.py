"""Weight space: single weights stay or go, an exact number per layer; biases always stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from labkit.population import Params
from labkit.sparsity.densities import DISTRIBUTIONS
from labkit.streams import stream


def weight_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The parameters that a weight-space mask covers: all but the biases."""
    return {name: shape for name, shape in shapes.items() if len(shape) > 1}


def kept_weights(shapes: Mapping[str, tuple[int, ...]], sparsity: float, distribution: str) -> dict[str, int]:
    """Weights that stay in each layer. They add up to exactly (1 - sparsity) of all, rounded half up: what rounding
    leaves over goes to the layers with the largest remainders."""
    covered = weight_shapes(shapes)
    sizes = [math.prod(shape) for shape in covered.values()]
    shares = DISTRIBUTIONS[distribution](list(covered.values()), 1 - sparsity)
    exact = [share * size for share, size in zip(shares, sizes, strict=True)]
    counts = [int(value) for value in exact]
    missing = int((1 - sparsity) * sum(sizes) + 0.5) - sum(counts)
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in [i for i in by_remainder if counts[i] < sizes[i]][:missing]:
        counts[i] += 1
    return dict(zip(covered, counts, strict=True))


def draw_weights(
    shapes: Mapping[str, tuple[int, ...]], sparsity: float, distribution: str, seed: int, candidates: Sequence[int]
) -> Params:
    """0/1 masks [len(candidates), ...] of the covered parameters, uniform among those with the exact count.

    Candidate i has a generator of its own, so its mask is the same whichever others are drawn beside it.
    """
    counts = kept_weights(shapes, sparsity, distribution)
    drawn: dict[str, list[torch.Tensor]] = {name: [] for name in counts}
    for candidate in candidates:
        generator = stream(seed, "weights", candidate)
        for name, count in counts.items():
            size = math.prod(shapes[name])
            mask = torch.zeros(size).index_fill_(0, torch.randperm(size, generator=generator)[:count], 1.0)
            drawn[name].append(mask.view(shapes[name]))
    return {name: torch.stack(masks) for name, masks in drawn.items()}
