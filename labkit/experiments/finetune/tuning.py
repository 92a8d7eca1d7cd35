"""The learning rate of each epsilon and kind of method: tried on another seed, judged on the selection split."""

from __future__ import annotations

from collections.abc import Generator

from labkit.experiments.executions import Told
from labkit.experiments.finetune.lab import Lab
from labkit.experiments.finetune.reached import Run
from labkit.experiments.finetune.spec import LAYER, RANDOM, ROWS_KIND, TUNED, FinetuneSpec, kind_of
from labkit.experiments.finetune.training import train
from labkit.runs.naming import canonical

SEED = 2**31  # above every seed that a Spec takes
SPARSITY = 0.8  # at which rows are tuned, whatever else the Spec names


def tune(lab: Lab) -> Generator[Told, None, None]:
    """Find the learning rates of all jobs: every rate of every epsilon in one go.

    What is tried is fixed, whatever the other points are: a point's numbers must not depend on those beside it. Rows
    are tuned as random ones: a choice of rows is no reason for another rate, and tuning must not pay for one.
    """
    if lab.point.learning_rate != TUNED:
        return
    rates = lab.point.tried_rates()
    wanted: dict[str, tuple[int, FinetuneSpec]] = {}
    for place, job in enumerate(lab.jobs):
        like = tuned_as(job.point)
        wanted.setdefault(canonical(like.hashed()), (place, like))
    runs = {
        key: [Run(place, like, SEED + like.split_seed, rate, told=False) for rate in rates]
        for key, (place, like) in wanted.items()
    }
    reached = yield from train(lab, [run for some in runs.values() for run in some])
    for key, some in runs.items():
        best = max(some, key=lambda run: (reached[run].numbers["selection_accuracy"], -run.rate))
        lab.tuned[key] = best.rate


def rate_of(lab: Lab, point: FinetuneSpec) -> float:
    """The point's learning rate."""
    return lab.tuned[canonical(tuned_as(point).hashed())] if point.learning_rate == TUNED else point.learning_rate


def tuned_as(point: FinetuneSpec) -> FinetuneSpec:
    """The point whose rates are tried for this one."""
    fixed = kind_of(point) != ROWS_KIND
    changes = {"warmup": (0.0,), "scope": (LAYER,), "sparsity": (0.0 if fixed else SPARSITY,)}
    if not fixed:
        changes["method"] = (RANDOM,)
    return point.model_copy(update=changes)
