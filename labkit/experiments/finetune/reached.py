"""One fine-tune: what it is asked, what it reached, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.charts.finetune_rows import drawn_arm
from labkit.experiments.charged import is_word
from labkit.experiments.executions import Stretch, Told, ledger_rows, together
from labkit.experiments.finetune.choosing import Choice
from labkit.experiments.finetune.lab import Lab, draw_label
from labkit.experiments.finetune.plans import SELECTION_SHARE, stages_of
from labkit.experiments.finetune.spec import RANDOM, FinetuneSpec
from labkit.finetune.method import Moves, row_layers
from labkit.finetune.rows import Rows, chance, frozen_share
from labkit.finetune.tail import Tail
from labkit.population import Params
from labkit.population.precision import matmul_precision
from labkit.privacy import Plan
from labkit.privacy.noise import OS
from labkit.privacy.record import so_far
from labkit.runs.events import Point
from labkit.runs.naming import canonical

EVALUATED = 1024  # images at once


@dataclass(frozen=True)
class Run:
    """One fine-tune to be trained.

    Args:
        place: of the job that it belongs to.
        told: whether its curve is for the store; of the tuning only the ledger is.
    """

    place: int
    point: FinetuneSpec
    seed: int
    rate: float
    told: bool = True

    @property
    def name(self) -> str:
        return f"{canonical(self.point.hashed())} {self.seed} {self.rate:g}"


@dataclass(frozen=True)
class Reached:
    """What one fine-tune reached.

    Args:
        numbers: of the results, by name.
        begun: all that was ever begun of it.
        rows: that moved beside what moves whole.
    """

    numbers: dict[str, float]
    begun: list[Stretch]
    rows: Rows


@dataclass(frozen=True)
class Ready:
    """A fine-tune that knows what moves."""

    run: Run
    moves: Moves
    rows: Rows
    choice: Choice | None


def looks(point: FinetuneSpec, steps: int) -> list[int]:
    """Steps after which the selection split is looked at."""
    count = min(point.evaluations, steps)
    return [steps * (i + 1) // count for i in range(count)]


@torch.no_grad()
def scored(tail: Tail, own: Params, k: int, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of member k, whose parameters are `own` [1, ...].

    `labkit.population.evaluate` takes members apart, whose rows a tail holds by their places.
    """
    right = loss = 0.0
    with matmul_precision(True):
        for part, labels in zip(x.split(EVALUATED), y.split(EVALUATED), strict=True):
            logits = tail.member(k).logits(own, part)[0].float()
            right += float((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return right / len(y), loss / len(y)


def told(run: Run, plan: Plan, step: int, accuracy: float) -> Iterator[Told]:
    (epsilon,), (method,) = run.point.epsilon, run.point.method
    said = epsilon if is_word(epsilon) else f"{epsilon:g}"
    values = {"method": method, "arm": drawn_arm(method), "epsilon_word": said}
    steps = stages_of(run.point, plan.examples).train  # where the curve will end
    values |= {"step": step, "steps": steps, "selection_accuracy": accuracy}
    yield run.place, Point("curve", values)
    if method == RANDOM and plan.private:
        spent = {"plan": f"a network of epsilon {epsilon:g}"}
        yield run.place, Point("spent", so_far(plan, step, epsilon) | spent)


def sizes(lab: Lab, ready: Ready, tail: Tail) -> dict[str, float]:
    """How much moves, and how far noise moved the choice."""
    moving = sum(torch.Size(shape).numel() for shape in tail.shapes().values())
    found = {"moving": moving, "weights": sum(t.numel() for t in lab.network.parameters().values())}
    if not ready.rows:
        return found
    layers = row_layers(ready.moves.network, lab.first)
    found |= {"rows_chosen": sum(len(index) for index in ready.rows.values())}
    found |= {"frozen_share": frozen_share(ready.rows, layers)}
    if ready.choice:
        found["chance_overlap"] = chance(ready.rows, layers, ready.run.point.scope[0])
        if ready.choice.overlap is not None:
            found["not_private_overlap"] = ready.choice.overlap
    return found


def ledger(lab: Lab, run: Run, plan: Plan, begun: Sequence[list[Stretch]]) -> Iterator[Point]:
    """What a fine-tune did with its plan, as rows of the series `ledger`.

    Of seeded ones, training is on draws that all methods of a seed share, and scoring on draws of its own. With noise
    from the operating system, what a method trained in one execution may have shared its draws, whoever was in it, and
    what comes before the training never did.

    Args:
        begun: of each stage what was ever begun, the training last.
    """
    stages = stages_of(run.point, lab.examples)
    if plan.noise_source == OS:
        *before, training = begun
        yield from ledger_rows(plan, together(before), run.name)
        yield from ledger_rows(plan, training, f"{run.point.method[0]} {run.seed}")
    else:
        drawn = f"{draw_label(lab, run.point)} {run.seed}"
        yield from ledger_rows(plan, [Stretch(0, 0, stages.train)], drawn)
        if stages.score:
            yield from ledger_rows(plan, [Stretch(0, stages.train, stages.steps)], f"{drawn} scores")
    if plan.also:
        epsilon = SELECTION_SHARE * run.point.epsilon[0]
        yield Point("ledger", {"what": "chosen", "epsilon_each": epsilon, "times": 1, "delta": plan.delta})
