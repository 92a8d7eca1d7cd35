"""How much of each layer stays when a share of all weights is removed: uniform, Erdos-Renyi, Erdos-Renyi-kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Shape = tuple[int, ...]


def uniform(shapes: Sequence[Shape], density: float) -> list[float]:
    """The same share in every layer."""
    return [density] * len(shapes)


def erdos_renyi(shapes: Sequence[Shape], density: float) -> list[float]:
    """Shares proportional to (n_in + n_out) / (n_in * n_out) (Mocanu et al. 2018, 1707.04780)."""
    return _proportional(shapes, density, [(s[0] + s[1]) / (s[0] * s[1]) for s in shapes])


def erdos_renyi_kernel(shapes: Sequence[Shape], density: float) -> list[float]:
    """Shares proportional to sum(shape) / prod(shape), kernels included (RigL, 1911.11134)."""
    return _proportional(shapes, density, [sum(s) / math.prod(s) for s in shapes])


def _proportional(shapes: Sequence[Shape], density: float, scores: Sequence[float]) -> list[float]:
    """min(1, e * score) for the e that keeps the total; layers that reach 1 stay dense and the rest is solved anew."""
    sizes = [math.prod(shape) for shape in shapes]
    dense: set[int] = set()
    while True:
        budget = density * sum(sizes) - sum(sizes[i] for i in dense)
        free = [i for i in range(len(shapes)) if i not in dense]
        if not free:
            return [1.0] * len(shapes)
        factor = budget / sum(scores[i] * sizes[i] for i in free)
        over = {i for i in free if factor * scores[i] > 1}
        if not over:
            return [1.0 if i in dense else factor * scores[i] for i in range(len(shapes))]
        dense |= over


DISTRIBUTIONS: dict[str, Callable[[Sequence[Shape], float], list[float]]] = {
    "uniform": uniform,
    "er": erdos_renyi,
    "erk": erdos_renyi_kernel,
}
