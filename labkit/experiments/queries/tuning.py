"""Fine-tuning the language model at one epsilon."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.experiments.executions import Stretch, advance, ledger_rows, stretches
from labkit.experiments.queries.lab import MICRO, Lab, Told
from labkit.experiments.queries.spec import called
from labkit.privacy import Plan
from labkit.privacy.record import so_far
from labkit.runs.events import Chunk, Point
from labkit.text.tuning import PrivateTuner

SECONDS = 10.0  # of progress
FINE_TUNING = "fine-tuning"


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model: the adapters hold its weights when it is returned.

    Args:
        loss: mean over the selection split's queries of the mean loss of their tokens, after training.
        clipped: share of drawn units that were clipped; an exact statistic of private units.
        begun: the stretches of its executions.
    """

    plan: Plan
    loss: float
    clipped: float
    dropped: int
    micro_batch: int
    begun: list[Stretch]


def fine_tune(
    lab: Lab, place: int, name: str, plan: Plan, texts: list[str], documents: np.ndarray, units: np.ndarray
) -> Generator[Told, None, Tuned]:
    """Train the adapters from their start on pairs, or take them from what was finished earlier.

    Args:
        name: FINE_TUNING, which tells its curve and what it spends, or another.
    """
    work, adapters = lab.key(place, name), lab.adapters
    key = f"{work}, done"
    adapters.restart(lab.seed)
    held = lab.resources.chunks.get(key)
    if held:
        adapters.assign({layer: held[layer].to(lab.device) for layer in adapters.layers})
        lab.done += SECONDS
        return _tuned(plan, held, stretches(lab.resources.chunks, work))
    tuner = PrivateTuner(
        adapters, lab.examples(texts, documents, units), plan,
        learning_rate=rate_of(lab, plan), micro_batch=MICRO[lab.device.type], **lab.keys(plan, name),
    )  # fmt: skip
    selection = lab.split.selection
    prompts = lab.prompts.rows(torch.from_numpy(selection.documents).to(lab.device))
    queries, epsilon = lab.queries(selection.queries), lab.jobs[place].point.epsilon[0]
    losses: dict[int, float] = {}

    def look(step: int) -> Iterator[Told]:
        losses[step] = tuner.loss(prompts, queries, 4 * MICRO[lab.device.type])
        if name == FINE_TUNING:
            values = {"arm": called(epsilon), "step": step, "steps": plan.steps, "selection_loss": losses[step]}
            yield place, Point("curve", values)
            if plan.private:
                spent = so_far(plan, step, epsilon) | {"plan": f"language model of {called(epsilon)}"}
                yield place, Point("spent", spent | {"unit": lab.point.unit})

    looks = [plan.steps * (i + 1) // lab.point.evaluations for i in range(lab.point.evaluations)]
    begun = yield from advance(
        lab, place, work, tuner, seconds=SECONDS, looks=[step for step in looks if step], look=look
    )
    last = losses[plan.steps] if plan.steps in losses else tuner.loss(prompts, queries, 4 * MICRO[lab.device.type])
    held = {layer: view[0].cpu().clone() for layer, view in tuner.weights.views.items()} | {
        "numbers": torch.tensor(
            [last, tuner.clipped / max(1, tuner.seen), tuner.dropped, tuner.micro_batch], dtype=torch.float64
        )
    }
    for row in ledger_rows(plan, begun, f"{work} {lab.point.split_by[0]} {lab.seed}"):
        yield place, row
    yield place, Chunk(key, held)  # after its rows: what has a chunk says them no more
    return _tuned(plan, held, begun)


def _tuned(plan: Plan, held: dict[str, Tensor], begun: list[Stretch]) -> Tuned:
    loss, clipped, dropped, micro = held["numbers"].tolist()
    return Tuned(plan, loss, clipped, int(dropped), int(micro), begun or [Stretch(0, 0, plan.steps)])


def rate_of(lab: Lab, plan: Plan) -> float:
    """The fine-tuning's highest learning rate, with noise or without."""
    return lab.point.learning_rate if plan.private else lab.point.plain_rate
