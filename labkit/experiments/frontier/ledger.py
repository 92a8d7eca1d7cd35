"""What a batch spent, for the gauge and the ledger: plain rows, from which a chart adds up the totals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labkit.experiments.frontier.arms import SELECTION_SHARE, Network
from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.begun import groups, stopped, times
from labkit.experiments.frontier.choosing import Cell, cell_of, cells
from labkit.experiments.frontier.spec import CHOSEN, REPEATS
from labkit.experiments.frontier.training import Told
from labkit.privacy import shared
from labkit.privacy.record import so_far
from labkit.runs.events import Point


def spent_so_far(batch: Batch, step: int) -> Point:
    """How much of its epsilon the dense network's plan has spent after some steps."""
    return Point("spent", so_far(batch.plans.training, step, batch.plans.epsilon))


def ledger(batch: Batch, networks: Sequence[Network], releases: int, stages: Sequence[str]) -> Iterator[Told]:
    """Every execution of the batch, as rows of the series `ledger`.

    Networks that share their draws are one row with their shared noise multiplier (privacy.md 4). Tuning networks are
    all that were tried; private choices and repeats are rows of their own.

    Args:
        networks: of the report and of the tuning.
        releases: how many repeated trainings are released at each place where masks are drawn.
        stages: of the batch, all of which have ended.
    """
    if not batch.plans.noisy:
        return
    steps = batch.plans.training.steps
    for name, rate, sigmas in (*groups(networks), *stopped(batch, stages)):
        values = {"what": "training", "group": name, "networks": len(sigmas), "noise_multiplier": shared(sigmas)}
        yield batch.lead, Point("ledger", values | {"sample_rate": rate, "steps": steps, "delta": _delta(batch)})
    often: dict[Cell, int] = {}
    for job in batch.jobs:
        often[cell_of(job)] = max(times(batch, job), often.get(cell_of(job), 0))
    made = sum(often[cell] for cell in cells(batch))
    if made and batch.point.budgets():
        values = {"what": CHOSEN, "epsilon_each": SELECTION_SHARE * batch.plans.epsilon, "delta": _delta(batch)}
        yield batch.lead, Point("ledger", values | {"times": made * len(batch.point.budgets())})
    if made:
        repeats = batch.plans.repeats
        values = {
            "what": REPEATS,
            "epsilon_each": repeats.epsilon,
            "delta": _delta(batch),
            "times": made * releases,
        }
        yield batch.lead, Point("ledger", values)


def _delta(batch: Batch) -> float:
    return batch.plans.training.delta
