"""What a training of notebook 04 begins with: its network and tables, its mechanism, and the keys of its randomness."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from labkit.embeddings.mechanism import Method
from labkit.embeddings.methods import ADAPTIVE
from labkit.embeddings.survivors import warn_survivors
from labkit.embeddings.tower import Tower
from labkit.experiments.embeddings.lab import Ground, Lab, Stretch, draw_label
from labkit.experiments.embeddings.spec import L1, EmbeddingsSpec
from labkit.privacy import Plan
from labkit.runs.inputs import weights
from labkit.runs.naming import canonical
from labkit.streams import stream

START = 0.1  # standard deviation of an embedding's first numbers


def warned(point: EmbeddingsSpec, plan: Plan, ground: Ground) -> None:
    """Warn of a threshold at which the noise alone, or nothing at all, decides which rows survive."""
    if point.method[0] not in ADAPTIVE:
        return
    slots = ground.ids["train"].shape[1]
    part = min(1.0, point.map_clip_norm / (slots if point.map_norm[0] == L1 else slots**0.5))
    deviation = plan.noise_multiplier * point.map_clip_norm / point.selection_fraction[0] ** 0.5
    if said := warn_survivors(ground.rows, point.threshold[0], lift=plan.batch_size * part / deviation):
        warnings.warn(said, UserWarning, stacklevel=2)


def model(lab: Lab, ground: Ground, point: EmbeddingsSpec, seed: int) -> tuple[Tower, Tensor, Tensor | None]:
    """The network and its tables before any training: the same for every method of a seed."""
    generator, split = stream(seed, "embeddings", point.dim, point.hidden), ground.split
    hidden = (point.hidden,) if point.hidden else ()
    slots, dim, vectors = split.train.ids.shape[1], point.dim, None
    if lab.vectors is not None and point.adapter_rank:
        dim, vectors = point.adapter_rank, lab.vectors
    elif lab.vectors is not None:
        dim = lab.vectors.shape[1]
    base = 0 if vectors is None else vectors.shape[1]
    tower = Tower(slots, dim, hidden, bag=split.bag, base=base, generator=generator, device=lab.device)
    if vectors is not None:
        table = torch.zeros(ground.rows, dim)  # A = 0: the frozen vectors as they are
    elif lab.vectors is not None:
        table = lab.vectors.clone()
    else:
        table = torch.randn(ground.rows, dim, generator=generator).mul_(START)
    return tower, table.to(lab.device), vectors


def method_of(point: EmbeddingsSpec) -> Method:
    """The point's mechanism with its settings."""
    return Method(
        name=point.method[0], selection_fraction=point.selection_fraction[0], threshold=point.threshold[0],
        map_clip=point.map_clip_norm, map_norm=point.map_norm[0],
    )  # fmt: skip


def keys(lab: Lab, point: EmbeddingsSpec, seed: int, plan: Plan, stretch: Stretch, rate: float) -> dict[str, int]:
    """Draw and noise of one stretch. Methods and epsilons of a seed share draws, which pairs them; every other thing
    that makes another release has its own noise, other files under a model's name included."""
    fingerprint = lab.ground(point).split.fingerprint
    label = draw_label(point, stretch, fingerprint)
    run = f"{label}/{plan.digest()}/{rate:g}/{canonical(point.hashed())}{weights(point)}"
    return {"draw_key": plan.draw_key(seed, label), "noise_key": plan.noise_key(seed, run, 0)}
