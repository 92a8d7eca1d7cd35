"""Canaries, in a training of their own: how much of a rare query does the model betray?"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch

from labkit.experiments.queries.lab import AT_ONCE, Lab, Told
from labkit.experiments.queries.tuning import fine_tune
from labkit.runs.events import Chunk, Point
from labkit.text.canaries import Canary, exposures, plant

SECONDS = 6.0  # of progress
NAME = "canaries"


def expose(lab: Lab, place: int) -> Generator[Told, None, None]:
    """Fine-tune with planted pairs at this epsilon and rank each canary among its alternatives.

    Every copy of a canary is a unit of its own, whatever the unit: one that asks the same as others did. The model is
    used for nothing else and not kept.
    """
    point, key = lab.point, f"{lab.key(place, NAME)}, exposed"
    if key in lab.resources.chunks:
        lab.done += SECONDS
        return
    split, (epsilon,) = lab.split, lab.jobs[place].point.epsilon
    canaries = plant(lab.language, len(split.documents), point.repeats(), point.canaries, lab.seed)
    texts, documents, units = with_canaries(lab, canaries)
    planted = len(texts) - len(split.train)
    yield from fine_tune(lab, place, NAME, lab.plans.tuning(epsilon, planted), texts, documents, units)
    before = lab.done
    told = exposures(
        lab.language, lab.prompts, canaries, count=point.alternatives, seed=lab.seed, batch=AT_ONCE[lab.device.type]
    )
    for number, one in enumerate(told):
        values = {"repeats": one.canary.repeats, "canary": number, "exposure": one.exposure, "cap": one.cap}
        yield place, Point("exposure", values)
        lab.done = before + SECONDS * (number + 1) / len(canaries)
        yield place, lab.progress(f"{lab.key(place, NAME)}: {number + 1} of {len(canaries)} ranked")
    yield place, Chunk(key, {"done": torch.ones(1)})


def with_canaries(lab: Lab, canaries: list[Canary]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The training pairs and units with the planted ones after them."""
    train = lab.split.train
    copies = [canary for canary in canaries for _ in range(canary.repeats)]
    texts = [*train.queries, *(canary.query for canary in copies)]
    documents = np.concatenate([train.documents, np.array([canary.document for canary in copies])])
    units = np.full((len(lab.units) + len(copies), lab.units.shape[1]), -1)
    units[: len(lab.units)] = lab.units
    units[len(lab.units) :, 0] = np.arange(len(train), len(texts))
    return texts, documents, units
