"""Advancing one private training with checkpoints, and what its executions cost if it was cut off and redone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from labkit.privacy import Plan, Spent
from labkit.privacy.ledger import Entry, this_run
from labkit.privacy.noise import OS
from labkit.runs.events import Checkpoint, Chunk, Event, Point, Progress
from labkit.runs.experiment import Resources

Told = tuple[int, Event]  # an event with the place of its job


class Bench(Protocol):
    """Where a training stands: what it was given, and the work done so far, in seconds of some machine."""

    resources: Resources
    done: float

    def progress(self, what: str) -> Progress: ...


class Trainer(Protocol):
    """What all private trainings of one model have in common."""

    plan: Plan
    done: int

    @property
    def steps(self) -> int: ...
    def advance(self, steps: int) -> None: ...
    def state(self) -> dict[str, Tensor]: ...
    def load(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class Stretch:
    """Steps that were begun: first to last - 1, in one execution of a run."""

    execution: int
    first: int
    last: int


@dataclass(frozen=True)
class Release:
    """One of the trainings that a trainer advances together.

    Args:
        place: of its job.
        name: of the training, under which its stretches are on record.
        plan: its own.
    """

    place: int
    name: str
    plan: Plan


def advance(
    lab: Bench,
    place: int,
    name: str,
    trainer: Trainer,
    *,
    seconds: float,
    stride: int = 1,
    kept: bool = True,
    looks: Iterable[int] = (),
    look: Callable[[int], Iterable[Told]] = lambda step: (),
    called: str | None = None,
) -> Generator[Told, None, list[Stretch]]:
    """`advance_all` of a trainer of one network.

    Args:
        place, name: as of a `Release`.

    Returns:
        every stretch that was ever begun; of a seeded run the whole, once.
    """
    release = Release(place, name, trainer.plan)
    given = {"seconds": seconds, "stride": stride, "kept": kept, "looks": looks, "look": look, "called": called}
    (begun,) = yield from advance_all(lab, [release], name, trainer, **given)
    return begun


def advance_all(
    lab: Bench,
    releases: Sequence[Release],
    name: str,
    trainer: Trainer,
    *,
    seconds: float,
    stride: int = 1,
    kept: bool = True,
    looks: Iterable[int] = (),
    look: Callable[[int], Iterable[Told]] = lambda step: (),
    beside: Callable[[], Mapping[str, Tensor]] = dict,
    called: str | None = None,
) -> Generator[Told, None, list[list[Stretch]]]:
    """Train to the trainer's end, from the checkpoint if there is one.

    With noise from the operating system a resumed run cannot go on with the same draws and noise: it draws anew, and
    steps that were begun before the stop and are done again are another release. So each stretch between two looks is
    put on record *before* it is run, for each of the trainings under its own name: those that are resumed together
    may be others than those that were stopped together.

    Several stages of a plan have a trainer and a name each; `together` collects what they return.

    Args:
        releases: the trainings, in the trainer's order of members.
        name: of the program, for its checkpoint.
        seconds: that it takes, for progress.
        stride: steps after which progress is told and a checkpoint offered.
        kept: whether there are checkpoints; without, a run that was stopped begins this training again.
        looks: steps after which `look(step)` says something; those of other stages are passed over.
        beside: what a checkpoint keeps beside the trainer's state, by names that the state has not.
        called: what progress calls the program, if not its name.

    Returns:
        for each release every stretch that was ever begun; of a seeded run the whole, once.
    """
    key, resources, first, place = f"training-{name}", lab.resources, trainer.done, releases[0].place
    if kept and key in resources.checkpoints:
        trainer.load(resources.checkpoints[key])
    fresh = [release.plan.private and release.plan.noise_source == OS for release in releases]
    begun = [stretches(resources.chunks, release.name) for release in releases]
    # One number for all: what is executed together shares its draws, and the ledger must be able to tell.
    execution = 1 + max((stretch.execution for some in begun for stretch in some), default=-1)
    before, start = lab.done, trainer.done
    wanted = {step for step in looks if step <= trainer.steps}
    for stop in sorted({*wanted, trainer.steps}):
        if stop <= trainer.done:
            continue
        for release, some, new in zip(releases, begun, fresh, strict=True):
            if new:
                stretch = Stretch(execution, trainer.done, stop)
                some.append(stretch)
                numbers = torch.tensor([execution, trainer.done, stop])
                yield release.place, Chunk(_key(release.name, stretch), {"stretch": numbers})
        while trainer.done < stop:
            trainer.advance(min(stride, stop - trainer.done))
            lab.done = before + seconds * (trainer.done - start) / max(1, trainer.steps - start)
            yield place, lab.progress(f"{called or name}: step {trainer.done} of {trainer.steps}")
            if trainer.done in wanted:
                yield from look(stop)  # before the checkpoint: a run that goes on from there does not look again
            if kept:
                yield place, Checkpoint(key, lambda: trainer.state() | dict(beside()))
    lab.done = before + seconds
    whole = [Stretch(0, first, trainer.steps)]
    return [some if new else whole for some, new in zip(begun, fresh, strict=True)]


def stretches(chunks: Mapping[str, Mapping[str, Tensor]], name: str) -> list[Stretch]:
    """What earlier executions of a training had begun."""
    begun = ((key, held["stretch"].tolist()) for key, held in chunks.items() if key.startswith(f"begun-{name}-"))
    # The name of one training may be the beginning of another's.
    found = [numbers for key, numbers in begun if key == _key(name, Stretch(*numbers))]
    return [Stretch(*numbers) for numbers in sorted(found)]


def together(stages: Iterable[Iterable[Stretch]]) -> list[Stretch]:
    """The stretches of several stages of one plan in one list, every execution of every stage with a number of its own:
    a stage that was done again is no reason to count another one twice."""
    found: list[Stretch] = []
    for stage in stages:
        numbers: dict[int, int] = {}
        start = 1 + max((stretch.execution for stretch in found), default=-1)
        found += [
            replace(stretch, execution=start + numbers.setdefault(stretch.execution, len(numbers))) for stretch in stage
        ]
    return found


def cost(plan: Plan, begun: Iterable[Stretch]) -> Spent:
    """What all executions of a training cost together, of one with stages those of all stages (`together`).

    If every step was begun exactly once that is the plan's own cost; otherwise every execution counts with all that it
    began.
    """
    executions = _ranges(begun)
    if not plan.private or _once(executions.values(), plan.steps):
        return plan.spent_after(plan.steps)
    common = {"name": "run", "plan": plan, "fingerprint": "data"}
    entries = [
        Entry(**common, group=f"draw {number}", noise=f"noise {number}", first=first, last=last)
        for number, (first, last) in executions.items()
    ]
    return this_run(entries, "run").executed


def times_begun(begun: Iterable[Stretch]) -> int:
    """How often the step that was begun most often was begun."""
    ranges = list(_ranges(begun).values())
    return max((sum(first <= step < last for first, last in ranges) for step, _ in ranges), default=0)


def ledger_rows(plan: Plan, begun: Iterable[Stretch], group: str) -> list[Point]:
    """The training's rows of the series `ledger`, one for each execution; none without noise.

    A seeded training's stages are one row: who trains without stages under the same key shares all its draws.
    """
    if not plan.private:
        return []
    executions = _ranges(begun)
    if plan.noise_source != OS and _once(executions.values(), plan.steps):
        executions = {0: (0, plan.steps)}  # other networks share these draws, whether they have stages or none
    common = {"what": "training", "networks": 1, "noise_multiplier": plan.noise_multiplier, "delta": plan.delta}
    return [
        Point(
            "ledger",
            common
            | {
                "group": f"{group}, execution {number}",
                "sample_rate": plan.sample_rate,
                "steps": last - first,
            },
        )
        for number, (first, last) in executions.items()
    ]


def _ranges(begun: Iterable[Stretch]) -> dict[int, tuple[int, int]]:
    """The steps that each execution began, first to last - 1: it goes from one to the next."""
    found: dict[int, tuple[int, int]] = {}
    for stretch in begun:
        first, last = found.get(stretch.execution, (stretch.first, stretch.last))
        found[stretch.execution] = min(first, stretch.first), max(last, stretch.last)
    return found


def _once(ranges: Iterable[tuple[int, int]], steps: int) -> bool:
    """Whether the ranges are all of 0..steps - 1, none of them twice."""
    end = 0
    for first, last in sorted(ranges):
        if first != end:
            return False
        end = last
    return end == steps


def _key(name: str, stretch: Stretch) -> str:
    return f"begun-{name}-{stretch.execution}-{stretch.first}"
