"""What cannot be run, said before anything trains, and what a run is expected to need."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

from labkit.errors import BadInput
from labkit.experiments.charged import is_word
from labkit.experiments.embeddings.spec import (
    ADAFEST,
    DPSGD,
    EXAMPLE,
    FEST,
    LAZYDP,
    MONTHS,
    NONE,
    PERSON,
    TUNED,
    EmbeddingsSpec,
)  # fmt: skip
from labkit.runs.experiment import Estimate

if TYPE_CHECKING:
    import torch

    from labkit.data.table import Table
    from labkit.data.table_split import TableSplit

HOURS = 24.0  # a Spec that is expected to take longer is refused
# Seconds a step, for each number of a batch's embedded slots and for each number of tables noised densely; and at all.
STEP = {"cpu": (4e-8, 7e-9, 4e-4), "cuda": (2e-11, 3e-12, 5e-4)}
START = {"cpu": 0.05, "cuda": 0.2}  # seconds of a training beside its steps: evaluation, capture
SECONDS_PER_PLAN = 1.0


def impossible(point: EmbeddingsSpec) -> str | None:
    """Why a grid point cannot be, in a line."""
    if point.unit == PERSON and point.order[0] == MONTHS:
        return "a person is in several months, which then do not compose in parallel"
    return None


def possible(spec: EmbeddingsSpec) -> list[EmbeddingsSpec]:
    """The Spec's points but the impossible ones."""
    return [point for point in spec.points() if impossible(point) is None]


def check(spec: EmbeddingsSpec, table: Table) -> None:
    """Refuse what no bound of a single field can say.

    Raises:
        BadInput: settings that the method cannot have, a batch larger than the training split, a delta of 1/n or more,
            a stream of data without months, persons where there are none, a vocabulary that does not fit or that leaks,
            or what needs more time than there is.
    """
    from labkit.device import memory_free, resolve

    spec.tried_rates()
    if not possible(spec):
        raise BadInput("unit", spec.unit, f"{EXAMPLE} with a stream: {impossible(spec.points()[0])}")
    if ADAFEST in spec.method or "adafest_plus" in spec.method:
        for fraction in spec.selection_fraction:
            if fraction == 0:
                what = "a number in (0, 1): choosing rows and noising them both need a share"
                raise BadInput("selection_fraction", fraction, what)
    if spec.optimizer != "sgd" and LAZYDP in spec.method:
        raise BadInput("optimizer", spec.optimizer, "sgd with lazydp: delayed noise adds up under plain SGD alone")
    if MONTHS in spec.order and table.months is None:
        raise BadInput("order", MONTHS, f"year: {table.name} has no months")
    if spec.unit == PERSON and table.persons is None:
        raise BadInput("unit", spec.unit, f"{EXAMPLE}: {table.name} does not say whose its examples are")
    if spec.model != NONE and not table.texts:
        raise BadInput("model", spec.model, f"{NONE}: {table.name} has no sentences")
    if spec.adapter_rank and spec.model == NONE:
        raise BadInput("adapter_rank", spec.adapter_rank, "0 without a model: there are no vectors to change")
    device = resolve(spec.device)
    for point in {(p.vocabulary, p.order): p for p in possible(spec)}.values():
        _check_at(point, spec, table)
    needed, free = peak_bytes(spec, table, device), memory_free(device)
    if needed > free:
        allowed = f"what fits in the {free:,} bytes that are free on {device}; it would need {needed:,} bytes"
        raise BadInput("vocabulary", max(spec.vocabulary), allowed)
    expected = estimate(spec, table, device)
    if expected.seconds > HOURS * 3600:
        hours = f"{expected.seconds / 3600:,.0f} hours on {device}"
        raise BadInput("epochs", spec.epochs, f"what takes at most {HOURS:g} hours; it would take about {hours}")


def _check_at(point: EmbeddingsSpec, spec: EmbeddingsSpec, table: Table) -> None:
    units, split = shape(point, table)
    if point.order[0] != MONTHS and spec.batch_size > max(units):
        raise BadInput("batch_size", spec.batch_size, f"at most {max(units):,}, the {spec.unit}s of the training split")
    if spec.delta >= 1 / sum(units):
        allowed = f"0 for the default, or a number below 1/n = {1 / sum(units):.3g}"
        raise BadInput("delta", spec.delta, f"{allowed}: at 1/n a mechanism may give one unit away")
    if FEST in spec.method or "adafest_plus" in spec.method:
        for k in spec.k:
            # A smaller vocabulary of the grid is no reason to refuse: fest then keeps whole columns.
            if not 1 <= k <= max(split.sizes) and point.vocabulary == spec.vocabulary[:1]:
                raise BadInput("k", k, f"1 to {max(split.sizes):,}, the largest column's vocabulary")


def shape(point: EmbeddingsSpec, table: Table) -> tuple[list[int], TableSplit]:
    """Units of each stretch, and the split."""
    key = (
        table.name,  # a part of the data has the fingerprint of the whole
        point.vocabulary[0],
        point.order[0],
        point.split_seed,
        point.unit,
        point.max_examples,
        point.model,
        point.words,
    )
    return _shape(key, _Held(point, table))


class _Held:
    """A point and its table, equal to any other of the same data: the key of the cache says what differs."""

    def __init__(self, point: EmbeddingsSpec, table: Table) -> None:
        self.point, self.table = point, table

    def __hash__(self) -> int:
        return hash(self.table.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.table.fingerprint == self.table.fingerprint


@cache
def _shape(key: tuple, held: _Held) -> tuple[list[int], TableSplit]:
    from labkit.data.table_split import split_table
    from labkit.experiments.embeddings.lab import prepared, stretches_of

    point = held.point
    split = split_table(prepared(point, held.table), point.split_seed, point.unit, point.order[0] == MONTHS)
    return [len(stretch.units) for stretch in stretches_of(point, split.train)], split


def costs(spec: EmbeddingsSpec, table: Table) -> str:
    """What each release will really cost, in a line, and what the thresholds mean for this vocabulary."""
    from labkit.embeddings.survivors import warn_survivors
    from labkit.experiments.embeddings.lab import plans_of
    from labkit.privacy.record import in_a_line

    said = []
    for order in spec.order:
        alike = [p for p in possible(spec) if p.method == (DPSGD,) and p.order == (order,)]
        # An example is in one month alone: the dearest counts.
        each = {p.epsilon: plans_of(p, shape(p, table)[0]) for p in alike}
        plans = [max(some, key=lambda plan: plan.epsilon or 0.0) for some in each.values()]
        if plans:
            said.append(f"for a model (order {order}) {in_a_line(plans)}")
    units, split = shape(possible(spec)[0], table)
    said.append(f"one {spec.unit} of {sum(units):,} is protected; {sum(split.sizes):,} rows: {split.vocabulary}")
    for threshold in spec.threshold if ADAFEST in spec.method else ():
        if warning := warn_survivors(sum(split.sizes), threshold):
            said.append(f"warning: {warning}")
    return "; ".join(said)


def estimate(spec: EmbeddingsSpec, table: Table, device: torch.device) -> Estimate:
    """Seconds and bytes for the whole Spec, from a measured cost of a step."""
    from labkit.experiments.embeddings.lab import batch_of, steps_of

    slot, dense, least = STEP[device.type]
    seconds = 0.0
    for point in possible(spec):
        units, split = shape(point, table)
        numbers = split.train.ids.shape[1] * width(spec) * (spec.max_examples if spec.unit == PERSON else 1)
        rows = sum(split.sizes) if point.method[0] == DPSGD and not is_word(point.epsilon[0]) else 0
        for n in units:
            each = least + slot * batch_of(point, n) * numbers + dense * rows * width(spec)
            seconds += START[device.type] / len(units) + steps_of(point, n) * each
    tuned = 1.0
    if spec.learning_rate == TUNED:
        kinds = len({p.method for p in spec.points()} & {(DPSGD,), (FEST,), (ADAFEST,)})
        trainings = len(spec.epsilon) * kinds * len(spec.vocabulary) * len(spec.tried_rates())
        tuned += trainings / max(1, len(spec.points()))
    return Estimate(
        seconds * spec.seeds * tuned + SECONDS_PER_PLAN * len(spec.epsilon), peak_bytes(spec, table, device)
    )


def peak_bytes(spec: EmbeddingsSpec, table: Table, device: torch.device) -> int:
    """Bytes of memory: tables, what DP-SGD adds to every row of them, a batch's slots."""
    worst = 0
    for point in {p.vocabulary: p for p in possible(spec)}.values():
        _, split = shape(point, table)
        tables = 4 * sum(split.sizes) * width(spec)
        tables *= 2 + (spec.optimizer != "sgd") + (0.5 if device.type == "cpu" else 0)
        slots = split.train.ids.shape[1] * (spec.max_examples if spec.unit == PERSON else 1)
        batch = 4 * spec.batch_size * slots * width(spec) * 8
        worst = max(worst, math.ceil(tables + batch + 16 * len(split.train) * split.train.ids.shape[1]))
    return worst


def width(spec: EmbeddingsSpec) -> int:
    """Numbers in a row of the tables."""
    if spec.model == NONE or spec.adapter_rank:
        return spec.adapter_rank or spec.dim
    from labkit.embeddings.words import word_vectors

    return word_vectors(spec.model).shape[1]
