"""A frontier that trains in milliseconds: tiny networks on the digits, and what its events say."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from labkit.data import Split, load, split
from labkit.experiments import get
from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.run import run
from labkit.experiments.frontier.spec import FrontierSpec
from labkit.runs.events import Chunk, Event, Point, Result
from labkit.runs.experiment import Job, Resources

EXPERIMENT = get("02")
SMALL = {
    "data": "digits", "width": 8, "steps": 6, "batch_size": 30, "seeds": 2, "rates": 3, "tuning_seeds": 1,
    "audit_runs": 0, "landscape_size": 0, "budget": 5, "repeats": 1.5, "device": "cpu", "space": "nodes,weights",
    "sparsity": "0,0.5", "epsilon": "2", "evaluations": 2,
}  # fmt: skip
DENSE_SIZE = 64 * 8 + 8 + 8 * 8 + 8 + 8 * 10 + 10
HALF_SIZE = 64 * 4 + 4 + 4 * 4 + 4 + 4 * 10 + 10

Told = list[tuple[int, Event]]


@lru_cache(maxsize=1)
def digits() -> Split:
    return split(load("digits"), 0)


def spec(**changes: Any) -> FrontierSpec:
    return EXPERIMENT.spec.of(**(SMALL | changes))


def jobs(**changes: Any) -> list[Job]:
    made = spec(**changes)
    return [Job(point, seed) for point in made.points() for seed in made.replicate_seeds()]


def resources(**kept: Any) -> Resources:
    return Resources(torch.device("cpu"), digits(), **kept)


def batch(**changes: Any) -> Batch:
    return Batch(jobs(**changes), resources())


def told(some: list[Job], **kept: Any) -> Told:
    return list(run(some, resources(**kept)))


def results(events: Told, some: list[Job]) -> dict[tuple, dict[str, Any]]:
    """The values of each result by sparsity, space, seed and arm."""
    found = {}
    for place, event in events:
        if isinstance(event, Result):
            point = some[place].point
            found[point.sparsity[0], point.space[0], some[place].seed, event.arm] = dict(event.values)
    return found


def chunks(events: Told) -> dict[str, dict[str, torch.Tensor]]:
    return {event.key: dict(event.tensors) for _, event in events if isinstance(event, Chunk)}


def points(events: Told, series: str) -> list[tuple[int, dict[str, Any]]]:
    return [(place, dict(e.values)) for place, e in events if isinstance(e, Point) and e.series == series]
