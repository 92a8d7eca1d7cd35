"""What a batch spent, for the gauge and the ledger: plain rows, from which a chart adds up the totals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.experiments.frontier.arms import SELECTION_SHARE, Network
from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.choosing import cells
from labkit.experiments.frontier.spec import CHOSEN, REPEATS, SIMULATED
from labkit.experiments.frontier.training import Told
from labkit.privacy import shared
from labkit.privacy.record import so_far
from labkit.runs.events import Point


def spent_so_far(batch: Batch, step: int) -> Point:
    """How much of its epsilon the dense network's plan has spent after some steps."""
    return Point("spent", so_far(batch.plans.training, step, batch.plans.epsilon))


def ledger(batch: Batch, networks: Iterable[Network], releases: int) -> Iterator[Told]:
    """Every execution of the batch, as rows of the series `ledger`.

    Networks that share their draws are one row with their shared noise multiplier (privacy.md 4). Tuning networks are
    all that were tried; private choices and repeats are rows of their own.

    Args:
        networks: of the report and of the tuning.
        releases: how many repeated trainings are released at each place where masks are drawn.
    """
    if not batch.plans.noisy:
        return
    groups: dict[tuple[str, float], list[float]] = {}
    for network in networks:
        if network.arm.kind != REPEATS or network.purpose == "tuning":
            name = f"{network.purpose} {network.seed} {network.draw or network.arm.kind == SIMULATED}"
            groups.setdefault((name, network.arm.plan.sample_rate), []).append(network.arm.plan.noise_multiplier)
    steps = batch.plans.training.steps
    for (name, rate), sigmas in groups.items():
        values = {"what": "training", "group": name, "networks": len(sigmas), "noise_multiplier": shared(sigmas)}
        yield batch.lead, Point("ledger", values | {"sample_rate": rate, "steps": steps, "delta": _delta(batch)})
    made = cells(batch)
    if made and batch.point.budgets():
        values = {"what": CHOSEN, "epsilon_each": SELECTION_SHARE * batch.plans.epsilon, "delta": _delta(batch)}
        yield batch.lead, Point("ledger", values | {"times": len(made) * len(batch.point.budgets())})
    if made:
        repeats = batch.plans.repeats
        values = {
            "what": REPEATS,
            "epsilon_each": repeats.epsilon,
            "delta": _delta(batch),
            "times": len(made) * releases,
        }
        yield batch.lead, Point("ledger", values)


def _delta(batch: Batch) -> float:
    return batch.plans.training.delta
