"""The oracle of embedding training: one unit at a time, in float64, by autograd, with a gradient for every row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.embeddings.tower import Tower
from labkit.embeddings.unit_gradients import UnitGradients, unit_gradients

TABLE = "table"


def weights(tower: Tower, table: Tensor) -> dict[str, Tensor]:
    """Copies in float64."""
    return {name: t.double().clone() for name, t in {**tower.params, TABLE: table}.items()}


def logit(tower: Tower, given: dict[str, Tensor], ids: Tensor, vectors: Tensor | None = None) -> Tensor:
    """Of one example, ids int64 [T] with -1 in empty slots."""
    rows = given[TABLE][ids.clamp(min=0)] * (ids >= 0)[:, None]
    x = rows.sum(0) / max(1, int((ids >= 0).sum())) if tower.bag else rows.flatten()
    for layer in range(tower.layers):
        x = F.linear(x, given[f"{layer}.weight"], given.get(f"{layer}.bias"))
        if tower.base and layer == 0:
            x = x + vectors.double()[ids[ids >= 0]].mean(0)
        elif layer < tower.layers - 1:
            x = F.relu(x)
    return x[0]


def unit_gradient(
    tower: Tower,
    given: dict[str, Tensor],
    ids: Tensor,
    labels: Tensor,
    *,
    active: Tensor | None = None,
    vectors: Tensor | None = None,
) -> dict[str, Tensor]:
    """Of one unit, ids [k, T] and labels [k]: the sum over its examples, without the rows that are not trained."""
    leaves = {name: t.clone().requires_grad_() for name, t in given.items()}
    losses = [
        F.binary_cross_entropy_with_logits(logit(tower, leaves, one, vectors), label.double())
        for one, label in zip(ids, labels, strict=True)
        if (one >= 0).any()
    ]
    if not losses:
        return {name: torch.zeros_like(t) for name, t in given.items()}
    found = torch.autograd.grad(sum(losses), list(leaves.values()))
    gradient = dict(zip(leaves, found, strict=True))
    if active is not None:
        kept = torch.zeros_like(gradient[TABLE])
        kept[active] = gradient[TABLE][active]
        gradient[TABLE] = kept
    return gradient


def norm(gradient: dict[str, Tensor]) -> float:
    """Over the table and the layers together."""
    return math.sqrt(sum(float(g.square().sum()) for g in gradient.values()))


def clipped_sum(gradients: Sequence[dict[str, Tensor]], like: dict[str, Tensor], clip: float) -> dict[str, Tensor]:
    """Of units, each scaled to the clip norm at most."""
    total = {name: torch.zeros_like(t) for name, t in like.items()}
    for gradient in gradients:
        factor = min(1.0, clip / size) if (size := norm(gradient)) else 1.0
        for name, part in gradient.items():
            total[name] += factor * part
    return total


def distinct_rows(ids: Tensor, active: Tensor | None = None) -> list[int]:
    """Of one unit, in the order of their first slots."""
    rows = list(dict.fromkeys(int(row) for row in ids.flatten() if row >= 0))
    return [row for row in rows if active is None or row in set(active.tolist())]


def given_batch(ids: list[list[list[int]]], tower: Tower, table: Tensor, clip: float, **rest) -> UnitGradients:
    """What the mechanisms are handed for these units, all with label 1."""
    units = torch.tensor(ids)
    out = {name: torch.zeros_like(t) for name, t in tower.params.items()}
    ones = torch.ones(units.shape[:2])
    return unit_gradients(tower, table, units, ones, torch.ones(len(units)), clip=torch.tensor([clip]), out=out, **rest)


def stub_plan(sigma: float, clip: float = 1.0, batch_size: int = 4, steps: int = 1) -> SimpleNamespace:
    """What a mechanism asks a plan for, with noise that no accountant would price."""
    return SimpleNamespace(
        noise_multiplier=sigma, sensitivity=clip, private=sigma > 0, batch_size=batch_size, steps=steps
    )


def patterns(sets: np.ndarray) -> np.ndarray:
    """bool [times, rows] -> how often each set of rows came, int64 [2 ** rows]."""
    codes = sets @ (1 << np.arange(sets.shape[1]))
    return np.bincount(codes, minlength=1 << sets.shape[1])


def law_of_coins(chances: np.ndarray) -> np.ndarray:
    """The probability of each set of rows, float64 [2 ** rows], where each is in it by a coin of its own."""
    rows = len(chances)
    bits = (np.arange(1 << rows)[:, None] >> np.arange(rows)) & 1
    return np.where(bits, chances, 1 - chances).prod(1)


def pooled(observed: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells that expect fewer than 5 put together, as a chi-square test needs them."""
    small = expected < 5
    if not small.any():
        return observed, expected
    cells = [np.append(x[~small], x[small].sum()) for x in (observed, expected)]
    return cells[0], cells[1]


def drawn_rows(mechanism, found: UnitGradients, times: int, table: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Many first steps from one table: which rows moved, bool [times, D], and by how much, float32 [times, D, dim]."""
    start, moved = table.clone(), []
    for at in range(times):
        table.copy_(start)
        mechanism.update(found, torch.zeros(1, dtype=torch.int64), at)
        moved.append((table - start).numpy().copy())
    table.copy_(start)
    changes = np.stack(moved)
    return (changes != 0).any(2), changes
