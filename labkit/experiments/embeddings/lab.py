"""What all trainings of one seed share: the tables' rows, the split on the device, the plans and the keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
import torch
from dp_accounting import DpEvent
from torch import Tensor

from labkit.data.hashing import hashed
from labkit.data.table import Table, private_vocabulary
from labkit.data.table_split import Examples, TableSplit, capped_units, split_table
from labkit.embeddings.words import cut, word_vectors
from labkit.errors import BadInput
from labkit.experiments.embeddings.spec import MONTHS, NONE, PERSON, EmbeddingsSpec
from labkit.experiments.frontier.spec import CLIPPED, PLAIN
from labkit.privacy import Plan
from labkit.privacy.accounting import default_delta
from labkit.runs.events import Progress
from labkit.runs.experiment import Job, Resources
from labkit.runs.naming import canonical


@dataclass(frozen=True)
class Stretch:
    """Units that are sampled under one plan: all of a split, or those of a month.

    Args:
        name: "year", or "month 3".
        units: int64 [U, k], rows of the training part; -1 in empty places.
    """

    name: str
    units: np.ndarray


@dataclass(frozen=True)
class Ground:
    """A split at one vocabulary, on the device."""

    split: TableSplit
    stretches: tuple[Stretch, ...]
    ids: dict[str, Tensor]
    labels: Tensor

    @property
    def rows(self) -> int:
        return sum(self.split.sizes)


@dataclass
class Lab:
    """Jobs of one seed, and what was loaded and drawn for them.

    Args:
        done, expected: work in seconds of some machine, for progress alone.
        tuned: learning rates found so far, by what they are for.
    """

    jobs: Sequence[Job]
    resources: Resources
    done: float = 0.0
    expected: float = 1.0
    tuned: dict[str, float] = field(default_factory=dict)
    _grounds: dict[tuple[int, str], Ground] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        return self.jobs[0].seed

    @property
    def device(self) -> torch.device:
        return self.resources.device

    def point(self, place: int) -> EmbeddingsSpec:
        return self.jobs[place].point

    @cached_property
    def vectors(self) -> Tensor | None:
        """Pretrained word vectors, float32 [V, E] on the device; None where rows begin at random."""
        point = self.point(0)
        return None if point.model == NONE else word_vectors(point.model).to(self.device)

    def ground(self, point: EmbeddingsSpec) -> Ground:
        """What a point trains on."""
        key = point.vocabulary[0], point.order[0]
        if key not in self._grounds:
            self._grounds[key] = ground_of(point, self.resources.data, self.device)
        return self._grounds[key]

    def progress(self, what: str) -> Progress:
        """How far the jobs are."""
        return Progress(min(self.done, self.expected), self.expected, what)


def prepared(point: EmbeddingsSpec, table: Table) -> Table:
    """The table with ids: sentences cut into words, and hashed to the point's vocabulary.

    Raises:
        BadInput: sentences without a model, or the vocabulary of a user's own data, which itself leaks.
    """
    vocabulary = point.vocabulary[0]
    if table.texts:
        if point.model == NONE:
            raise BadInput("model", point.model, f"a language model whose tokenizer cuts {table.name} into words: tiny")
        if vocabulary:
            raise BadInput("vocabulary", vocabulary, "0 for sentences: their words are the model's")
        return cut(table, point.model, point.words)
    if private_vocabulary(table) and not vocabulary:
        allowed = f"a number of rows that {table.name} is hashed to, or a vocabulary file beside it"
        raise BadInput("vocabulary", 0, f"{allowed}: one that is built from private data leaks who is in them")
    return hashed(table, vocabulary)


def ground_of(point: EmbeddingsSpec, table: Table, device: torch.device | str) -> Ground:
    """The point's data, split and moved to the device."""
    stream = point.order[0] == MONTHS
    split = split_table(prepared(point, table), point.split_seed, point.unit, stream)
    parts = {"train": split.train, "selection": split.selection, "test": split.test}
    ids = {name: torch.from_numpy(part.ids).to(device) for name, part in parts.items()}
    return Ground(split, stretches_of(point, split.train), ids, torch.from_numpy(split.train.labels).to(device))


def stretches_of(point: EmbeddingsSpec, train: Examples) -> tuple[Stretch, ...]:
    """The protected units, once for each plan.

    A stream is sampled within each month (privacy.md 17): an example is in one month alone, so the months compose in
    parallel, and the largest of their epsilons is the epsilon of all.
    """
    if point.order[0] != MONTHS:
        return (Stretch("year", units_of(point, train)),)
    return tuple(
        Stretch(f"month {month}", np.flatnonzero(train.months == month)[:, None]) for month in np.unique(train.months)
    )


def units_of(point: EmbeddingsSpec, train: Examples) -> np.ndarray:
    """int64 [U, k]: the training examples of each protected unit."""
    persons = train.persons if point.unit == PERSON else None
    return capped_units(persons, point.max_examples, point.split_seed, len(train))


def steps_of(point: EmbeddingsSpec, units: int) -> int:
    """Steps in which a unit is drawn `epochs` times on average."""
    return max(1, math.ceil(point.epochs * units / batch_of(point, units)))


def batch_of(point: EmbeddingsSpec, units: int) -> int:
    """The expected batch: a short month has fewer units than a batch."""
    return min(point.batch_size, units) if point.order[0] == MONTHS else point.batch_size


def plans_of(point: EmbeddingsSpec, units: Sequence[int], also: tuple[DpEvent, ...] = ()) -> list[Plan]:
    """What each stretch may do; alone it costs at most the point's epsilon, with what `also` has cost already.

    The months of a stream share delta, that of all their units together, and one noise multiplier, with which none of
    them costs more: as a rule the smallest month's, which is sampled at the highest rate, but steps are whole numbers.
    """
    delta = point.delta or default_delta(sum(units))
    sizes = sorted(set(units))
    plans = {sizes[0]: _calibrated(point, sizes[0], delta, also)}
    if len(sizes) > 1 and plans[sizes[0]].private:
        # Each turn calibrates the dearest stretch and raises the noise of all; where none is too dear, it is enough.
        while True:
            sigma = max(plan.noise_multiplier for plan in plans.values())
            shared = {n: _with_noise(point, n, sigma, delta, also) for n in sizes}
            dearest = max(sizes, key=lambda n: shared[n].epsilon)
            if shared[dearest].epsilon <= point.epsilon[0] or dearest in plans:
                plans = shared
                break
            plans[dearest] = _calibrated(point, dearest, delta, also)
    return [plans.get(n) or _calibrated(point, n, delta, also) for n in units]


def _calibrated(point: EmbeddingsSpec, units: int, delta: float, also: tuple[DpEvent, ...]) -> Plan:
    return _plan(
        point.epsilon[0], units, batch_of(point, units), steps_of(point, units), point.clip_norm, delta,
        point.noise_source, also,
    )  # fmt: skip


def _with_noise(point: EmbeddingsSpec, units: int, sigma: float, delta: float, also: tuple[DpEvent, ...]) -> Plan:
    return _noised(
        sigma, units, batch_of(point, units), steps_of(point, units), point.clip_norm, delta, point.noise_source, also
    )


@cache
def _noised(
    sigma: float, units: int, batch: int, steps: int, clip: float, delta: float, noise_source: str, also: tuple
) -> Plan:
    return Plan.noised(
        noise_multiplier=sigma, examples=units, batch_size=batch, steps=steps, clip_norm=clip, delta=delta,
        noise_source=noise_source, also=also,
    )  # fmt: skip


@cache
def _plan(
    epsilon: float | str, units: int, batch: int, steps: int, clip: float, delta: float, noise_source: str, also: tuple
) -> Plan:
    common = {"examples": units, "batch_size": batch, "steps": steps}
    if epsilon == PLAIN:
        return Plan.nonprivate("plain: neither clipping nor noise", **common)
    if epsilon == CLIPPED:
        return Plan.nonprivate("clipped: clipping without noise", clip_norm=clip, **common)
    return Plan.calibrated(epsilon=epsilon, clip_norm=clip, delta=delta, noise_source=noise_source, also=also, **common)


def draw_label(point: EmbeddingsSpec, stretch: Stretch, fingerprint: str) -> str:
    """What names a Poisson draw: paired methods, settings and epsilons share batches, as they share split and start."""
    shared = {name: getattr(point, name) for name in ("unit", "max_examples", "batch_size", "epochs", "split_seed")}
    return f"04/{stretch.name}/{fingerprint}/{canonical(shared)}"
