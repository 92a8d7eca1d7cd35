"""Which rows of a network's weights move: chosen by scores or drawn at random, within each layer or over all layers.

A row is what makes one output, a node of a linear layer or a filter of a convolution. `layers` are those that may move,
in their order: name -> (rows, numbers in a row), as `Network.layers` gives them. `sparsity` is the share of their
weights that stays frozen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from labkit.errors import BadInput

Rows = dict[str, Tensor]  # layer -> int64 [r], rising: the rows of its weight that move; [0] where none does
Layers = Mapping[str, tuple[int, int]]

LAYER, GLOBAL = "layer", "global"
SCOPES = (LAYER, GLOBAL)
# How a row's score grows with the numbers in it, as a power of their count: scores that are norms, and sums.
NORMS, SUMS = 0.5, 1.0


def kept(rows: int, sparsity: float) -> int:
    """How many of these rows (or numbers) move: ceil((1 - sparsity) * rows), at least one.

    Exact for the decimal number that was typed: of 10 rows at sparsity 0.9 one moves, whatever 1 - 0.9 is in binary.
    """
    return math.ceil((1 - Fraction(repr(float(sparsity)))) * rows)


def random_rows(layers: Layers, sparsity: float, scope: str, generator: torch.Generator) -> Rows:
    """Rows drawn uniformly without replacement, which looks at no data and costs no privacy.

    Args:
        scope: "layer" draws `kept` rows of each layer; "global" takes rows of all layers in a random order until
            `kept` of all weights are used up, as `top_rows` does.
        generator: on the CPU: the same rows on every device.

    Raises:
        BadInput: no layer, a layer without rows, a sparsity that is none, an unknown scope.
    """
    _check(layers, sparsity, scope)
    if scope == GLOBAL:
        return _filled(layers, sparsity, torch.randperm(sum(rows for rows, _ in layers.values()), generator=generator))
    drawn = {name: torch.randperm(rows, generator=generator) for name, (rows, _) in layers.items()}
    return {name: _first(order, sparsity) for name, order in drawn.items()}


def top_rows(
    scores: Mapping[str, Tensor], layers: Layers, sparsity: float, scope: str, *, power: float = NORMS
) -> Rows:
    """The rows with the largest scores; of equal ones the earlier layer's, then the smaller number.

    Args:
        scores: of each layer, [rows]; they may be negative.
        scope: "layer" takes the best `kept` rows of each layer. "global" takes the best rows of all layers, by score
            over (numbers in the row) ** power, until `kept` of all the layers' weights are used up; a row that no
            longer fits is passed over, and a layer may be left without one.
        power: 0.5 (`NORMS`) for norms of rows, 1 (`SUMS`) for sums over rows, so that a long row is no better than a
            short one by its length alone.

    Raises:
        BadInput: as for `random_rows`; scores of other layers or of another number of rows, or a score that is none.
    """
    _check(layers, sparsity, scope)
    _check_scores(scores, layers)
    if scope == LAYER:
        return {name: _first(_descending(scores[name].cpu()), sparsity) for name in layers}
    each = [scores[name].detach().double().cpu() / numbers**power for name, (_, numbers) in layers.items()]
    return _filled(layers, sparsity, _descending(torch.cat(each)))


def magnitude(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores of public weights, which cost no privacy: the norm of each row, [rows] for [rows, ...]."""
    return {name: weight.detach().double().flatten(1).norm(dim=1) for name, weight in weights.items()}


def overlap(chosen: Rows, other: Rows) -> float:
    """The share of the chosen rows that are in the other choice as well.

    Raises:
        BadInput: no row was chosen.
    """
    both = sum(int(torch.isin(index, other[name]).sum()) for name, index in chosen.items() if name in other)
    return both / _count(chosen)


def chance(chosen: Rows, layers: Layers, scope: str = LAYER) -> float:
    """The overlap to be expected of rows drawn uniformly: as many of each layer for scope "layer", as many of all for
    "global".

    Raises:
        BadInput: no row was chosen.
    """
    count = _count(chosen)
    if scope == GLOBAL:
        return count / sum(rows for rows, _ in layers.values())
    return sum(len(index) ** 2 / layers[name][0] for name, index in chosen.items()) / count


def frozen_share(rows: Rows, layers: Layers) -> float:
    """The share of the layers' weights that does stay frozen: rows move whole, so it is not just the sparsity."""
    moving = sum(len(index) * layers[name][1] for name, index in rows.items())
    return 1 - moving / sum(count * numbers for count, numbers in layers.values())


def _filled(layers: Layers, sparsity: float, order: Tensor) -> Rows:
    """Rows in an order over all layers, one after another, until the weights that may move are used up.

    If not even the first of the shortest rows fits, it moves alone: a method that moves no row is another method.
    """
    counts, numbers = zip(*layers.values(), strict=True)
    layer = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    sizes = torch.tensor(numbers)[layer[order]].tolist()
    left = max(min(sizes), kept(sum(c * n for c, n in layers.values()), sparsity))
    taken = torch.zeros(len(order), dtype=torch.bool)
    for row, size in zip(order.tolist(), sizes, strict=True):
        if size <= left:
            taken[row] = True
            left -= size
    return {name: part.nonzero()[:, 0] for name, part in zip(layers, taken.split(counts), strict=True)}


def _first(order: Tensor, sparsity: float) -> Tensor:
    return order[: kept(len(order), sparsity)].sort().values


def _descending(scores: Tensor) -> Tensor:
    """The order of the scores, largest first; stable, so that ties are the same on every device."""
    return scores.detach().argsort(descending=True, stable=True)


def _count(chosen: Rows) -> int:
    count = sum(len(index) for index in chosen.values())
    if not count:
        raise BadInput("rows", "none", "at least one chosen row")
    return count


def _check(layers: Layers, sparsity: float, scope: str) -> None:
    if not layers:
        allowed = "one with a weight layer besides its head; without it: method head"
        raise BadInput("model", "one whose only weight layer is its head", allowed)
    for name, (rows, numbers) in layers.items():
        if rows < 1 or numbers < 1:
            raise BadInput("model", f"{name}: {rows} rows of {numbers} numbers", "layers with rows to choose from")
    if not 0 < sparsity < 1:
        raise BadInput("sparsity", sparsity, "the share of weights frozen, above 0 and below 1")
    if scope not in SCOPES:
        raise BadInput("scope", scope, " or ".join(SCOPES))


def _check_scores(scores: Mapping[str, Tensor], layers: Layers) -> None:
    wanted: dict[str, Sequence[int]] = {name: (rows,) for name, (rows, _) in layers.items()}
    found = {name: tuple(score.shape) for name, score in scores.items()}
    if found != wanted:
        raise BadInput("scores", found, f"one for each row: {wanted}")
    for name, score in scores.items():
        if score.isnan().any():
            raise BadInput("scores", f"nan in {name}", "numbers, of which one can be the largest")
