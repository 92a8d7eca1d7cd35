"""A small world of random texts in which a query repeats words of its document."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.privacy import Plan
from labkit.privacy.noise import fill_normal
from labkit.retrieval import Encoder, PrivateDirect, PrivateLogit
from labkit.retrieval.private import BETAS
from labkit.retrieval.train import rate_at
from labkit.streams import stream

WORDS, EMBEDDING, DOCUMENTS, PAIRS = 60, 12, 20, 48
DIRECT, LOGIT = "direct", "logit"


@dataclass(frozen=True)
class Texts:
    ids: Tensor
    mask: Tensor


def texts(count: int, longest: int, seed: int) -> Texts:
    generator = stream(seed, "texts")
    lengths = torch.randint(2, longest + 1, (count,), generator=generator)
    ids = torch.randint(0, WORDS, (count, longest), generator=generator)
    return Texts(ids, torch.arange(longest) < lengths[:, None])


def world(pairs: int = PAIRS, documents: int = DOCUMENTS) -> tuple[Texts, Texts, Tensor]:
    """Queries, documents, and each query's document."""
    queries, index = texts(pairs, 4, 1), texts(documents, 7, 2)
    rows = torch.randint(0, documents, (pairs,), generator=stream(3, "rows"))
    queries.ids[:, :2] = index.ids[rows, :2]
    return queries, index, rows


def encoder(layers: int = 1, seed: int = 0, device: str = "cpu") -> Encoder:
    vectors = torch.randn(WORDS, EMBEDDING, generator=stream(4, "vectors"))
    return Encoder(vectors.to(device), 8, layers, 2, seed)


def alone(pairs: int = PAIRS) -> Tensor:
    """Each pair a unit of its own."""
    return torch.arange(pairs).unsqueeze(1)


def noised(sigma: float = 1.0, clip: float = 0.5, **changes) -> Plan:
    given = {"examples": PAIRS, "batch_size": 8, "steps": 5} | changes
    return Plan.noised(noise_multiplier=sigma, clip_norm=clip, **given)


def without_noise(clip: float = math.inf, **changes) -> Plan:
    given = {"examples": PAIRS, "batch_size": 8, "steps": 5} | changes
    return Plan.nonprivate("a test", clip_norm=clip, **given)


def flat(tensors) -> Tensor:
    return torch.cat([tensor.detach().double().cpu().flatten() for tensor in tensors])


def trainer(kind: str, plan: Plan, *, units: Tensor | None = None, device: str = "cpu", **changes):
    """A private trainer of the small world; each pair a unit unless `units` says otherwise."""
    queries, documents, rows = changes.pop("data", None) or world()
    rest = {"learning_rate": 0.01, "draw_key": 3, "noise_key": 100, "seed": 0, "micro_batch": 5}
    rest |= {"temperature": 0.2, "negatives": 6} if kind == DIRECT else {"temperature": 1.0}
    made = PrivateDirect if kind == DIRECT else PrivateLogit
    at = changes.pop("encoder", None) or encoder(device=device)
    return made(at, queries, documents, alone() if units is None else units, rows, plan, **rest | changes)


def gradients(model: Encoder, value: Tensor) -> Tensor:
    """The gradient of a number over all weights, one vector."""
    found = torch.autograd.grad(value, list(model.parameters()), allow_unused=True)
    zeros = [torch.zeros_like(weight) for weight in model.parameters()]
    return flat(zero if part is None else part for part, zero in zip(found, zeros, strict=True))


def trained_by_hand(made, start: Encoder, rate: float, step_sum: Callable[[Encoder, Tensor, int], Tensor]) -> Tensor:
    """All weights after the plan's steps, in float64: `step_sum` is the clipped sum, noise comes from the same key."""
    model, plan = start.double(), made.plan
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, betas=BETAS)
    for step in range(plan.steps):
        total = step_sum(model, made.drawn(step), step)
        if plan.private:
            noise = torch.empty(1, len(total))
            fill_normal(noise, [made.noise_key], step, [True])
            total = total + plan.noise_multiplier * plan.clip_norm * noise[0].double()
        parts = (total / plan.batch_size).split([weight.numel() for weight in model.parameters()])
        for weight, part in zip(model.parameters(), parts, strict=True):
            weight.grad = part.view(weight.shape)
        optimizer.param_groups[0]["lr"] = rate * rate_at(step, plan.steps)
        optimizer.step()
    return flat(model.parameters())
