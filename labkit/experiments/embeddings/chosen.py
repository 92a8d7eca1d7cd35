"""The rows that FEST and AdaFEST+ train, chosen before the training, and what that choice costs."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from dp_accounting import DpEvent, GaussianDpEvent
from torch import Tensor

from labkit.embeddings import frequency
from labkit.embeddings.methods import CHOSEN
from labkit.experiments.embeddings.lab import Ground, Lab
from labkit.experiments.embeddings.spec import GUMBEL, HISTOGRAM, MONTHS, PUBLIC, EmbeddingsSpec
from labkit.experiments.executions import Told
from labkit.privacy.accounting import default_delta
from labkit.privacy.noise import noise_key
from labkit.runs.events import Chunk
from labkit.runs.naming import canonical


def price(ground: Ground, point: EmbeddingsSpec) -> tuple[DpEvent, ...]:
    """What counting the point's rows is charged with: told by sizes and settings, before anything is counted."""
    if point.method[0] not in CHOSEN or point.frequency == PUBLIC:
        return ()
    if point.frequency == HISTOGRAM:
        return (GaussianDpEvent(_noise(ground, point)),)
    return frequency.choice_events(ground.split.sizes, _k(ground, point), _epsilon0(ground, point))


def rows(
    lab: Lab, place: int, ground: Ground, point: EmbeddingsSpec, seed: int, work: str
) -> Generator[Told, None, Tensor | None]:
    """The active rows, int64 [A] on the device; None for a method that trains all of them.

    A charged count is kept as soon as it is made: a run that goes on after a stop must not look at the data again.

    Args:
        work: the training's name.
    """
    if point.method[0] not in CHOSEN:
        return None
    key = f"chosen {work}"
    held = lab.resources.chunks.get(key)
    if held is None:
        run = f"04/{ground.split.fingerprint}/{canonical(point.hashed())}"
        found = choice(ground, point, noise_key(point.noise_source, seed, run, "frequencies"))
        held = {"rows": torch.from_numpy(found.rows)}
        if found.events:
            yield place, Chunk(key, held)
    return held["rows"].to(lab.device)


def choice(ground: Ground, point: EmbeddingsSpec, key: int) -> frequency.Charged:
    """The k most frequent rows of each column, counted as the point says.

    Public counts are those of the selection split, which no guarantee covers; of a stream, those of its first month.
    A charged count looks at the training split's units, of a stream at the first month's.

    Args:
        key: of the count's noise.
    """
    split, k = ground.split, _k(ground, point)
    if point.frequency == PUBLIC:
        part = split.selection
        first = part.months == part.months.min() if point.order[0] == MONTHS else slice(None)
        return frequency.public(part.ids[first], split.sizes, k)
    units = ground.stretches[0].units
    ids = np.where((units >= 0)[..., None], split.train.ids[units], -1).reshape(len(units), -1)
    if point.frequency == GUMBEL:
        return frequency.gumbel(ids, split.sizes, k, _epsilon0(ground, point), key)
    return frequency.histogram(ids, split.sizes, k, _noise(ground, point), key)


def _k(ground: Ground, point: EmbeddingsSpec) -> int:
    """Rows of each column; a smaller vocabulary of the grid is kept whole."""
    return min(point.k[0], max(ground.split.sizes))


def _noise(ground: Ground, point: EmbeddingsSpec) -> float:
    return frequency.noise_for_share(point.epsilon[0], _delta(ground, point), point.frequency_share)


def _epsilon0(ground: Ground, point: EmbeddingsSpec) -> float:
    number = frequency.choices(ground.split.sizes, _k(ground, point))
    return frequency.epsilon0_for_share(point.epsilon[0], _delta(ground, point), point.frequency_share, number)


def _delta(ground: Ground, point: EmbeddingsSpec) -> float:
    return point.delta or default_delta(sum(len(stretch.units) for stretch in ground.stretches))
