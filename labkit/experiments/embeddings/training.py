"""One training of notebook 04: a method, an epsilon, its settings; and what it reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.embeddings.methods import ADAPTIVE
from labkit.embeddings.survivors import expected_false
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.experiments.embeddings import chosen
from labkit.experiments.embeddings.lab import Ground, Lab, draw_label, plans_of
from labkit.experiments.embeddings.spec import (
    DPSGD,
    EmbeddingsSpec,
    configuration,
    curve_arm,
    in_the_curve,
)  # fmt: skip
from labkit.experiments.embeddings.start import keys, method_of, model, warned
from labkit.experiments.executions import Stretch as Execution
from labkit.experiments.executions import Told, advance, cost, ledger_rows, stretches
from labkit.privacy import Plan
from labkit.privacy.noise import OS
from labkit.privacy.record import so_far
from labkit.runs.events import Chunk, Point
from labkit.runs.naming import canonical
from labkit.runs.values import bounded
from labkit.stats.auc import auc

SECONDS = 1.0  # of progress
STRIDE = 16  # steps between two words of progress
SHOWN = 40  # points of the survivors' chart


@dataclass(frozen=True)
class Trained:
    """What one training reached.

    Args:
        numbers: of the results, by name.
        plans: of its stretches.
        begun: of each stretch, what its executions began.
    """

    numbers: dict[str, float]
    plans: list[Plan]
    begun: list[list[Execution]]

    @property
    def spent(self) -> tuple[float, Plan]:
        """The largest cost of a stretch, and its plan: an example is in one stretch alone."""
        each = [(cost(plan, begun).epsilon, place) for place, (plan, begun) in enumerate(self._pairs())]
        epsilon, place = max(each)
        return epsilon, self.plans[place]

    def _pairs(self) -> Iterator[tuple[Plan, list[Execution]]]:
        return zip(self.plans, self.begun, strict=True)


def train(
    lab: Lab, place: int, point: EmbeddingsSpec, seed: int, rate: float, *, told: bool = True
) -> Generator[Told, None, Trained]:
    """Train at a point, or take what was finished earlier.

    Args:
        point: the job's, or one that only the tuning trains.
        told: whether curve, survivors and ledger are for the store; of the tuning only the ledger is.
    """
    ground = lab.ground(point)
    work = f"{canonical(point.hashed())} {seed} {rate:g}"
    also = chosen.price(ground, point)
    plans = plans_of(point, [len(stretch.units) for stretch in ground.stretches], also)
    names = [f"{work} {stretch.name}" for stretch in ground.stretches]
    held = lab.resources.chunks.get(f"trained {work}")
    if held:
        lab.done += SECONDS
        begun = [
            stretches(lab.resources.chunks, name) or [Execution(0, 0, p.steps)]
            for name, p in zip(names, plans, strict=True)
        ]
        return Trained(_unpacked(held), plans, begun)
    warned(point, plans[-1], ground)
    active = yield from chosen.rows(lab, place, ground, point, seed, work)
    tower, table, vectors = model(lab, ground, point, seed)
    runs, seconds, begun = [], 0.0, []
    for stretch, plan, name in zip(ground.stretches, plans, names, strict=True):
        trainer = EmbeddingTrainer(
            tower, table, ground.ids["train"], ground.labels, torch.from_numpy(stretch.units).to(lab.device), plan,
            method_of(point), optimizer=point.optimizer, learning_rate=rate, active=active, vectors=vectors,
            **keys(lab, point, seed, plan, stretch, rate),
        )  # fmt: skip
        drawn = told and in_the_curve(point)
        looks = looks_of(point, plan) if drawn else ()
        began = time.perf_counter()
        begun.append(
            (
                yield from advance(
                    lab, place, name, trainer, seconds=SECONDS / len(plans), stride=STRIDE, looks=looks,
                    kept=len(plans) == 1, look=_look(lab, place, ground, trainer) if drawn else _silent,
                )
            )
        )  # fmt: skip
        trainer.flush()
        if lab.device.type == "cuda":
            torch.cuda.synchronize()
        seconds += time.perf_counter() - began
        runs.append(trainer)
    numbers = evaluated(ground, runs, point) | {"seconds_per_step": seconds / sum(plan.steps for plan in plans)}
    if told:
        yield from _survivors(lab, place, point, ground, runs)
    for plan, executions, stretch, name in zip(plans, begun, ground.stretches, names, strict=True):
        # Keys from the operating system: nothing shares a draw.
        drawn = name if plan.noise_source == OS else f"{draw_label(point, stretch, ground.split.fingerprint)} {seed}"
        for row in ledger_rows(plan, executions, drawn):
            yield place, row
    if also:
        yield (
            place,
            Point("ledger", {"what": "counted", "epsilon_each": alone(plans[0]), "times": 1, "delta": plans[0].delta}),
        )
    yield place, Chunk(f"trained {work}", _packed(numbers))
    return Trained(numbers, plans, begun)


def looks_of(point: EmbeddingsSpec, plan: Plan) -> list[int]:
    """Steps after which the selection split is looked at."""
    count = min(point.evaluations, plan.steps)
    return [plan.steps * (i + 1) // count for i in range(count)]


def evaluated(ground: Ground, runs: list[EmbeddingTrainer], point: EmbeddingsSpec) -> dict[str, float]:
    """The numbers of a finished training, as the results hold them."""
    last, split = runs[-1], ground.split
    logits = last.logits(ground.ids["test"]).double().nan_to_num(nan=0.0).numpy()
    area, error = auc(split.test.labels, logits)
    survivors = np.concatenate([run.mechanism.survivors.cpu().numpy() for run in runs])
    touched = np.concatenate([run.mechanism.touched.cpu().numpy() for run in runs])
    found = {
        "auc": area,
        "auc_error": error,
        "selection_auc": selection_auc(ground, last),
        "log_loss": bounded(float(np.logaddexp(0, np.where(split.test.labels == 1, -logits, logits)).mean())),
        "rows": ground.rows,
        "dim": last.table.shape[1],
        "survivors": float(survivors.mean()),
        "not_private_clipped": sum(float(r.clipped) for r in runs) / max(1.0, sum(float(r.seen) for r in runs)),
        "not_private_dropped": sum(float(r.dropped) for r in runs),
    }
    if (touched >= 0).all():
        found["not_private_touched"] = float(touched.mean())
        if point.method[0] in ADAPTIVE:
            rows = last.mechanism.rows
            found["expected_false"] = expected_false(rows, min(rows, float(touched.mean())), point.threshold[0])
    return found


def selection_auc(ground: Ground, trainer: EmbeddingTrainer) -> float:
    """The AUC on the selection split."""
    logits = trainer.logits(ground.ids["selection"]).double().nan_to_num(nan=0.0).numpy()
    return auc(ground.split.selection.labels, logits)[0]


def alone(plan: Plan) -> float:
    """What the count behind the chosen rows costs by itself."""
    return plan.spent_after(0).epsilon


def _silent(step: int) -> Iterator[Told]:
    return iter(())


def _look(lab: Lab, place: int, ground: Ground, trainer: EmbeddingTrainer) -> Callable[[int], Iterator[Told]]:
    point = lab.point(place)
    (epsilon,), values = point.epsilon, {"configuration": configuration(point), "order": point.order[0]}

    def look(step: int) -> Iterator[Told]:
        area = selection_auc(ground, trainer)
        said = values | {"arm": curve_arm(point), "method": point.method[0], "step": step, "steps": trainer.plan.steps}
        yield place, Point("curve", said | {"selection_auc": area})
        if point.method[0] == DPSGD and trainer.plan.private:
            spent = so_far(trainer.plan, step, epsilon) | {
                "plan": f"a model of epsilon {epsilon:g}",
                "unit": point.unit,
            }
            yield place, Point("spent", spent)

    return look


def _survivors(
    lab: Lab, place: int, point: EmbeddingsSpec, ground: Ground, runs: list[EmbeddingTrainer]
) -> Iterator[Told]:
    """How many rows were noised, step by step, beside what the noise alone makes of the rows that nobody touched."""
    survivors = torch.cat([run.mechanism.survivors for run in runs]).tolist()
    touched = torch.cat([run.mechanism.touched for run in runs]).tolist()
    rows = runs[-1].mechanism.rows
    every = max(1, len(survivors) // SHOWN)
    if point.method[0] not in ADAPTIVE:
        return
    for step in range(0, len(survivors), every):
        values = {"method": point.method[0], "configuration": configuration(point), "step": step + 1}
        values |= {"survivors": survivors[step], "not_private_touched": touched[step]}
        values["expected_false"] = expected_false(rows, touched[step], point.threshold[0])
        yield place, Point("survivors", values)


def _packed(numbers: dict[str, float]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}


def _unpacked(held: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in held.items()}
