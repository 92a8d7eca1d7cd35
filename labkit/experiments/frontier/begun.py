"""What executions that were stopped and done again had begun: with noise from the operating system, other releases.

There is no checkpoint: what is resumed begins its stage, the tuning or the training, anew, with other draws and noise.
So what is begun is put on record *before* it is run, and every execution is charged whole, however far it went
(privacy.md 6).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.experiments.frontier.arms import Network
from labkit.experiments.frontier.batch import Batch, digest
from labkit.experiments.frontier.spec import REPEATS, SIMULATED
from labkit.experiments.frontier.training import Told
from labkit.privacy.noise import OS
from labkit.runs.events import Chunk
from labkit.runs.experiment import Job

BEGUN = "begun-"


class Group(NamedTuple):
    """Networks that share their draws, as the ledger counts them."""

    name: str
    sample_rate: float
    noise_multipliers: tuple[float, ...]


def groups(networks: Sequence[Network]) -> list[Group]:
    """The networks by their draws. Of the repeats, whose number is secret, none: they are counted as one release."""
    found: dict[tuple[str, float], list[float]] = {}
    for network in networks:
        if network.arm.kind != REPEATS or network.purpose == "tuning":
            name = f"{network.purpose} {network.seed} {network.draw or network.arm.kind == SIMULATED}"
            found.setdefault((name, network.arm.plan.sample_rate), []).append(network.arm.plan.noise_multiplier)
    return [Group(name, rate, tuple(sigmas)) for (name, rate), sigmas in found.items()]


def fresh(batch: Batch) -> bool:
    """Whether what is done again is another release."""
    return batch.plans.noisy and batch.point.noise_source == OS


def begin_jobs(batch: Batch) -> Iterator[Told]:
    """Put on record that the choices and the trainings of every job are begun; a stop may come at any time."""
    if fresh(batch):
        for place, job in enumerate(batch.jobs):
            yield place, _record(batch, _name(job), torch.zeros(0))


def begin(batch: Batch, stage: str, networks: Sequence[Network]) -> Iterator[Told]:
    """Put on record which networks of a stage are begun; a stage may have several parts."""
    if fresh(batch):
        rows = [(i, g.sample_rate, s) for i, g in enumerate(groups(networks)) for s in g.noise_multipliers]
        yield batch.lead, _record(batch, stage, torch.tensor(rows, dtype=torch.float64))


def times(batch: Batch, job: Job) -> int:
    """How often a job's choices and trainings were begun; 1 where nothing is released anew."""
    name = _name(job)
    return max(1, len({at for stage, at, _ in _known(batch) if stage == name}) + (name in batch.begun))


def stopped(batch: Batch, done: Sequence[str]) -> Iterator[Group]:
    """The networks of executions that were stopped, whatever jobs they were resumed with.

    Args:
        done: the stages that have ended, whose last execution is not among these.
    """
    known = _known(batch)
    last = {stage: max((at for name, at, _ in known if name == stage), default=0) for stage in done}
    for stage, execution, part in sorted(known):
        table = batch.resources.chunks[_key(stage, execution, part)]["networks"]
        if not len(table) or (execution == last.get(stage) and stage not in batch.begun):
            continue
        for number in sorted({int(row[0]) for row in table.tolist()}):
            rows = [row for row in table.tolist() if row[0] == number]
            name = f"{stage} execution {execution} part {part} draw {number}"
            yield Group(name, rows[0][1], tuple(sigma for _, _, sigma in rows))


def _record(batch: Batch, stage: str, table: Tensor) -> Chunk:
    part = batch.begun[stage] = batch.begun.get(stage, -1) + 1
    execution = 1 + max((at for name, at, _ in _known(batch) if name == stage), default=0)
    return Chunk(_key(stage, execution, part), {"networks": table})


def _known(batch: Batch) -> set[tuple[str, int, int]]:
    """Stage, execution and part of all that earlier processes have begun."""
    found = (key.removeprefix(BEGUN).rsplit(" ", 2) for key in batch.resources.chunks if key.startswith(BEGUN))
    return {(stage, int(execution), int(part)) for stage, execution, part in found}


def _key(stage: str, execution: int, part: int) -> str:
    return f"{BEGUN}{stage} {execution} {part}"


def _name(job: Job) -> str:
    return f"job-{digest(job.seed, job.point.hashed())}"
