"""The privacy ledger of a Spec's stored results: what each network cost, what choosing it cost, and what all cost."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.training import Told
from labkit.runs.events import Point


def spent_points(batch: Batch) -> Iterator[Told]:
    """How the epsilon of the dense network's plan grows with its steps, for the gauge."""
    plan = batch.plans.training
    if plan.private:
        for step, epsilon in plan.curve(8):
            yield 0, Point("spent", {"step": step, "epsilon": epsilon})
