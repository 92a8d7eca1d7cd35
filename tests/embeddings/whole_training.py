"""A small training of embedding tables, and the same one unit at a time in float64, with the same noise."""

from __future__ import annotations

import math

import torch
from one_unit import TABLE, clipped_sum, distinct_rows, unit_gradient, weights
from torch import Tensor

from labkit.embeddings.convention import deviations, l1_factor, l2_factor
from labkit.embeddings.false_survivors import false_survivors
from labkit.embeddings.mechanism import Method
from labkit.embeddings.methods import ADAPTIVE, CHOSEN
from labkit.embeddings.noise import DENSE, FLUSH, MAP, PENDING, PLACES, ROWS, StepNoise
from labkit.embeddings.survivors import tail
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.privacy import Plan

N, SIZES, DIM, STEPS, BATCH, CLIP, RATE = 30, (4, 9), 2, 5, 8, 0.5, 0.7
D = sum(SIZES)
ACTIVE = torch.tensor([0, 1, 3, 4, 5, 7, 10])
DRAW, NOISE = 3, 17


def examples(bag: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    if bag:
        ids = torch.randint(-1, D, (N, 3), generator=generator)
        ids[:, 1].clamp_(min=0)
    else:
        ids = torch.stack([torch.randint(0, SIZES[0], (N,), generator=generator)] * 2, 1)
        ids[:, 1] = SIZES[0] + torch.randint(0, SIZES[1], (N,), generator=generator)
    return ids, torch.randint(0, 2, (N,), generator=generator)


def method(name: str, **rest) -> Method:
    chosen = {"selection_fraction": 0.3, "threshold": 1.0} if name in ADAPTIVE else {}
    return Method(name=name, **chosen | rest)


def plan_for(units: int, sigma: float = 0.8, **rest) -> Plan:
    given = {"examples": units, "batch_size": BATCH, "steps": STEPS} | rest
    if not sigma:
        return Plan.nonprivate("a test", clip_norm=CLIP, **given)
    return Plan.noised(noise_multiplier=sigma, clip_norm=CLIP, **given)


def made(name: str, *, bag: bool = False, of_each: int = 1, sigma: float = 0.8, key: int = NOISE, **rest):
    ids, labels = examples(bag)
    tower = Tower(ids.shape[1], DIM, (4,), bag=bag, generator=torch.Generator().manual_seed(5))
    table = torch.randn(D, DIM, generator=torch.Generator().manual_seed(6))
    units = torch.arange(N).view(-1, of_each)
    if of_each > 1:
        units[::3, -1] = -1
    settings = {"method": method(name), "plan": plan_for(len(units), sigma), "learning_rate": RATE} | rest
    active = {"active": ACTIVE} if name in CHOSEN else {}
    given = {"draw_key": DRAW, "noise_key": key} | active | settings
    return EmbeddingTrainer(tower, table, ids, labels, units, **given)


class ByHand:
    """The whole training in float64, row by row."""

    def __init__(self, trainer: EmbeddingTrainer, optimizer: str) -> None:
        self.trainer, self.plan, self.method = trainer, trainer.plan, trainer.method
        self.given = weights(trainer.tower, trainer.table)
        self.squares = {name: torch.zeros_like(t) for name, t in self.given.items()} if optimizer == "adagrad" else None
        self.noise = StepNoise(NOISE, "cpu")
        self.active = ACTIVE if self.method.name in CHOSEN else torch.arange(D)
        self.noised = dict.fromkeys(range(D), 0)
        self.survivors: list[int] = []

    def train(self) -> dict[str, Tensor]:
        for at in range(self.plan.steps):
            self.step(at)
        if self.method.name == "lazydp":
            self.pay(range(D), self.plan.steps, FLUSH)
        return self.given

    def step(self, at: int) -> None:
        t = self.trainer
        slots = [t.units[unit] if unit >= 0 else torch.full_like(t.units[0], -1) for unit in t.drawn[at].tolist()]
        batch = [torch.stack([t.ids[e] if e >= 0 else torch.full_like(t.ids[0], -1) for e in unit]) for unit in slots]
        if self.method.name == "lazydp":
            self.pay(dict.fromkeys(int(row) for unit in batch for row in unit.flatten() if row >= 0), at, PENDING)
        gradients = [
            unit_gradient(t.tower, self.given, ids, t.labels[unit.clamp(min=0)], active=self.active)
            for ids, unit in zip(batch, slots, strict=True)
        ]
        total = clipped_sum(gradients, self.given, CLIP)
        rows, deviation = self.chosen(batch, at), self.plan.noise_multiplier * CLIP
        if self.method.name in ADAPTIVE:
            deviation = deviations(self.plan.noise_multiplier, self.method.selection_fraction, 1.0, CLIP)[1]
        if self.method.name != "lazydp":
            total[TABLE][rows] += deviation * self.noise.normal(ROWS, at, len(rows), DIM)
        self.survivors.append(len(rows))
        dense = self.noise.normal(DENSE, at, self.trainer.tower.flat.data.numel()).double() * deviation
        for name, part in self.trainer.tower.params.items():
            total[name] += dense[: part.numel()].view(part.shape)
            dense = dense[part.numel() :]
        for name, gradient in total.items():
            some = rows if name == TABLE else slice(None)
            self.move(name, some, gradient[some] / self.plan.batch_size)

    def chosen(self, batch: list[Tensor], at: int) -> Tensor:
        """Rows of the tables that the step noises, in the order in which it does."""
        if self.method.name not in ADAPTIVE:
            return self.active
        f, factor = self.method.selection_fraction, {"l2": l2_factor, "l1": l1_factor}[self.method.map_norm]
        on_map = deviations(self.plan.noise_multiplier, f, self.method.map_clip, CLIP)[0]
        places = {int(row): place for place, row in enumerate(self.active)}
        votes: dict[int, float] = {}
        first: dict[int, int] = {}
        for unit, ids in enumerate(batch):
            touched = distinct_rows(ids, self.active)
            for slot, row in enumerate(ids.flatten().tolist()):
                if row in places:
                    first.setdefault(row, unit * ids.numel() + slot)
            for row in touched:
                votes[row] = votes.get(row, 0.0) + factor(len(touched), self.method.map_clip)
        noise = on_map * self.noise.normal(MAP, at, len(batch) * batch[0].numel()).double()
        limit = self.method.threshold * on_map
        kept = [row for row in sorted(first, key=first.get) if votes[row] + float(noise[first[row]]) >= limit]
        lone = false_survivors(len(places), tail(self.method.threshold), self.noise.generator(PLACES, at))
        kept += [int(self.active[place]) for place in lone if int(self.active[place]) not in first]
        return torch.tensor(kept, dtype=torch.int64)

    def pay(self, rows, at: int, purpose: str) -> None:
        due = [row for row in rows if self.noised[row] < at]
        noise = self.noise.normal(purpose, at, len(due), DIM).double()
        scale = RATE * self.plan.noise_multiplier * CLIP / self.plan.batch_size
        for row, numbers in zip(due, noise, strict=True):
            self.given[TABLE][row] -= scale * math.sqrt(at - self.noised[row]) * numbers
            self.noised[row] = at

    def move(self, name: str, some, gradient: Tensor) -> None:
        if self.squares is not None:
            self.squares[name][some] += gradient**2
            gradient = gradient / (self.squares[name][some].sqrt() + 1e-10)
        self.given[name][some] -= RATE * gradient
