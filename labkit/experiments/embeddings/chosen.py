"""The rows that FEST and AdaFEST+ train, chosen before the training, and what that choice costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from dp_accounting import DpEvent
from torch import Tensor

from labkit.embeddings import frequency
from labkit.embeddings.methods import CHOSEN
from labkit.experiments.embeddings.lab import Ground, Lab
from labkit.experiments.embeddings.spec import GUMBEL, MONTHS, PUBLIC, EmbeddingsSpec
from labkit.privacy.accounting import default_delta
from labkit.privacy.noise import noise_key
from labkit.runs.naming import canonical


def rows(lab: Lab, ground: Ground, point: EmbeddingsSpec, seed: int) -> tuple[tuple[DpEvent, ...], Tensor | None]:
    """Events to charge, and int64 [A] the active rows; no rows for a method that trains all of them."""
    if point.method[0] not in CHOSEN:
        return (), None
    found = choice(ground, point, lambda run: noise_key(point.noise_source, seed, run, "frequencies"))
    return found.events, torch.from_numpy(found.rows).to(lab.device)


def choice(ground: Ground, point: EmbeddingsSpec, key: Callable[[str], int]) -> frequency.Charged:
    """The k most frequent rows of each column, counted as the point says.

    Public counts are those of the selection split, which no guarantee covers; of a stream, those of its first month.
    A charged count looks at the training split's units, of a stream at the first month's.

    Args:
        key: the key of the count's noise, from the run's name.
    """
    split = ground.split
    k = min(point.k[0], max(split.sizes))  # a smaller vocabulary of the grid is kept whole
    if point.frequency == PUBLIC:
        part = split.selection
        first = part.months == part.months.min() if point.order[0] == MONTHS else slice(None)
        return frequency.public(part.ids[first], split.sizes, k)
    units = ground.stretches[0].units
    ids = np.where((units >= 0)[..., None], split.train.ids[units], -1).reshape(len(units), -1)
    (epsilon,), delta = point.epsilon, point.delta or default_delta(len(units))
    run = f"04/{split.fingerprint}/{canonical(point.hashed())}"
    if point.frequency == GUMBEL:
        each = frequency.epsilon0_for_share(epsilon, delta, point.frequency_share, frequency.choices(split.sizes, k))
        return frequency.gumbel(ids, split.sizes, k, each, key(run))
    noise = frequency.noise_for_share(epsilon, delta, point.frequency_share)
    return frequency.histogram(ids, split.sizes, k, noise, key(run))
