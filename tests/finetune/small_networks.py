"""Small public networks with every kind of layer that may move; their oracle: one example at a time, by autograd."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.tail import Tail
from labkit.population.clipping import Clipped

CLASSES = 3
K, B, CLIP = 3, 4, 0.4  # members, examples, clip norm
TRANSFORM = Transform((6, 6), 2, (0.5, 0.5), (0.5, 0.5))


class Tokens(nn.Module):
    """Places of an image as positions: [B, c, h, w] to [B, h * w, c]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class Grid(nn.Module):
    """Channels last: [B, c, h, w] to [B, h, w, c]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Mean(nn.Module):
    """Over all positions: [B, ..., c] to [B, c]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1, -2).mean(1)


class Attention(nn.Module):
    """One head over the positions of an example, [B, T, d], added to what went in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = nn.Linear(width, 3, bias=False), nn.Linear(width, 3), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        given = self.norm(x)
        weight = (self.query(given) @ self.key(given).transpose(1, 2)).softmax(-1)
        return x + weight @ self.value(given)


class InPlace(nn.Module):
    """A linear layer whose output is written over."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).mul_(x).add_(x)


def _stages(kind: str) -> list[nn.Module]:
    if kind == "convolutions":
        return [
            nn.Conv2d(2, 4, 3, stride=(2, 1), padding=1), nn.BatchNorm2d(4), nn.Softplus(),
            nn.Conv2d(4, 4, (3, 2), padding=(1, 0), groups=4), nn.Softplus(),
            nn.Conv2d(4, 5, 2, dilation=(1, 2), bias=False), nn.MaxPool2d((2, 1)), nn.Flatten(), nn.Linear(15, 6),
            nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, CLASSES),
        ]  # fmt: skip
    if kind == "tokens":
        return [
            nn.Conv2d(2, 4, 2, stride=2), Tokens(), Attention(4), nn.Linear(4, 5, bias=False), nn.GELU(), Mean(),
            nn.Linear(5, CLASSES),
        ]  # fmt: skip
    if kind == "grid":
        return [Grid(), nn.Linear(2, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 5), Mean(), nn.Linear(5, CLASSES)]
    if kind == "plain convolutions":
        return [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(27, CLASSES)]
    if kind == "in place":
        return [nn.Flatten(), nn.Linear(72, 4), InPlace(4), nn.Linear(4, CLASSES)]
    return [nn.Flatten(), nn.Linear(72, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, CLASSES)]


@cache
def network(kind: str = "dense", dtype: torch.dtype = torch.float32, scale: float = 0.5) -> Network:
    """A network of one kind with made up weights and statistics."""
    generator = torch.Generator().manual_seed(7)
    with torch.random.fork_rng(devices=[]):
        stages = nn.Sequential(*_stages(kind))
    for name, tensor in (*stages.named_parameters(), *stages.named_buffers()):
        if tensor.is_floating_point():
            made = torch.randn(tensor.shape, generator=generator) * scale
            tensor.data.copy_(made.abs() + 0.3 if name.endswith("running_var") else made)
    return Network(kind, in_order(stages.eval()), str(len(stages) - 1), TRANSFORM).to("cpu", dtype)


def examples(count: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images [count, 2, 6, 6] and their labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 2, 6, 6, generator=generator).to(dtype)
    return images, torch.randint(0, CLASSES, (count,), generator=generator)


def gradient(
    made: Network,
    own: Mapping[str, Tensor],
    rows: Mapping[str, Tensor],
    image: Tensor,
    label: Tensor,
    base: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Of one member and one example, through the whole network from the image on, for what moves.

    Args:
        own: what moves, of a weight the rows that do, without an axis of members.
        rows: layer -> [r].
    """
    every = {**made.parameters(), **(base or {})}
    for name, value in own.items():
        index = rows.get(name.rpartition(".")[0]) if name.endswith(".weight") else None
        every[name] = value.clone() if index is None else every[name].clone()
        for place, row in enumerate([] if index is None else index.tolist()):
            every[name][row] = value[place]
    leaves = {name: every[name].detach().requires_grad_() for name in own}
    logits = functional_call(made.stages, {**every, **leaves}, (image.unsqueeze(0),))
    found = torch.autograd.grad(F.cross_entropy(logits, label.unsqueeze(0)), list(leaves.values()))
    picked = {}
    for name, each in zip(leaves, found, strict=True):
        index = rows.get(name.rpartition(".")[0]) if name.endswith(".weight") else None
        picked[name] = each if index is None else torch.stack([each[row] for row in index.tolist()])
    return picked


def norm(found: Mapping[str, Tensor]) -> float:
    """Over everything that moves, in float64."""
    return float(torch.cat([each.flatten() for each in found.values()]).double().norm())


def clipped_sum(gradients: Sequence[Mapping[str, Tensor]], clip: float, *, absolute: bool = False) -> dict[str, Tensor]:
    """Of examples, each at most `clip` long."""
    total: dict[str, Tensor] = {}
    for found in gradients:
        factor = min(1.0, clip / norm(found))
        for name, each in found.items():
            part = (factor * each).abs() if absolute else factor * each
            total[name] = total[name] + part if name in total else part
    return total


def drawn(shapes: Mapping[str, Collection[int]], count: int, seed: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Members somewhere: [count, ...]."""
    generator = torch.Generator().manual_seed(seed)
    return {n: (torch.randn(count, *s, generator=generator) * 0.5).to(dtype) for n, s in shapes.items()}


ROWS = {
    "convolutions": {"0": [[0, 3], [1, 2], [2, 3]], "3": [[1], [3], [1]], "5": [[0, 4]], "8": [[5, 2], [0, 1], [3, 4]]},
    "tokens": {"0": [[0, 3]], "2.query": [[2], [0], [1]], "2.value": [[1, 2]], "3": [[0, 4], [1, 3], [2, 4]]},
    "grid": {"1": [[0, 2]], "4": [[1], [2], [4]]},
    "dense": {"1": [[0, 5], [1, 2], [4, 5]], "3": [[3]]},
}


def rows_of(kind: str) -> dict[str, Tensor]:
    """Rows of K members in some layers, of all members in others."""
    return {name: torch.tensor(index) for name, index in ROWS[kind].items()}


def one_of(rows: dict[str, Tensor], k: int) -> dict[str, Tensor]:
    """The rows of member k."""
    return {name: index[k % len(index)] for name, index in rows.items()}


def take(params: dict[str, Tensor], k: int) -> dict[str, Tensor]:
    """Member k, without the axis of members."""
    return {name: tensor[k] for name, tensor in params.items()}


def summed(
    tail: Tail, params: dict[str, Tensor], x: Tensor, y: Tensor, clip: float = CLIP, **rest
) -> tuple[dict[str, Tensor], Clipped]:
    """A fresh clipped sum and what it reports."""
    first = next(iter(params.values()))
    out = {name: torch.full_like(tensor, 7.0) for name, tensor in params.items()}  # what must be forgotten
    given = {"clip": first.new_full((len(first),), clip), "weight": first.new_ones(y.shape[-1])}
    return out, tail.clipped_sum(params, x, y, out, **given | {"fresh": True} | rest)
