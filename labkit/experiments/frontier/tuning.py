"""Learning rates and clip norms: chosen for each arm on the selection split, on other seeds than the reported ones."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

import torch

from labkit.errors import LabError
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.batch import Batch, digest
from labkit.experiments.frontier.begun import begin
from labkit.experiments.frontier.spec import DENSE, SHARED, SIMULATED, TUNED
from labkit.experiments.frontier.training import train
from labkit.experiments.frontier.tuned import Tuned, beyond, first_grid
from labkit.runs.events import Chunk, Event
from labkit.streams import stream_seed

MOST_ROUNDS = 6  # of widening: 18 learning rates, or 6 clip norms, beyond an end
CLIPS = (0.25, 1.0, 4.0)
COLUMNS = ("arm", "clip_norm", "rounds", "rate", "accuracy")  # of the stored chunk


def tuning_seeds(batch: Batch) -> list[int]:
    """Seeds of no reported replicate: streams of their own, far above what a Spec may name."""
    return [stream_seed(2**40 + i, "tuning") for i in range(batch.point.tuning_seeds)]


def tuned_arms(batch: Batch) -> list[Arm]:
    """Every arm that needs a learning rate of its own; the dense one alone where all share its rate."""
    shared = batch.point.learning_rate == SHARED
    every = (arm for job in batch.jobs for arm in batch.arms(job) if arm.kind == DENSE or not shared)
    return list(dict.fromkeys(arm.tuned_as() for arm in every if arm.kind != SIMULATED))


def tuning_stage(batch: Batch) -> str:
    """What the tuning is on record as."""
    point = batch.point
    return f"tuning-{digest(tuned_arms(batch), tuning_seeds(batch), point.rates, point.clip_norm)}"


def tune(batch: Batch) -> Generator[tuple[int, Event], None, Tuned]:
    """Find every arm's learning rate and clip norm, yielding events; from a stored chunk where a run is resumed."""
    arms, point = tuned_arms(batch), batch.point
    key = tuning_stage(batch)
    tuned = Tuned(first_grid(point.rates))
    if key in batch.resources.chunks:
        _restore(tuned, arms, batch.resources.chunks[key])
        return tuned
    for arm in arms:
        clips = CLIPS if point.clip_norm == TUNED and arm.plan.clip_norm < float("inf") else ()
        tuned.variants[arm] = [arm.clipped_to(clip) for clip in clips] or [arm]
    waiting = [variant for variants in tuned.variants.values() for variant in variants]
    while waiting:
        yield from _rates(batch, tuned, waiting, key)
        waiting = [more for arm in arms if (more := _next_clip(tuned, arm))]
    yield 0, Chunk(key, _table(arms, tuned))
    return tuned


def _rates(batch: Batch, tuned: Tuned, arms: Sequence[Arm], key: str) -> Generator[tuple[int, Event], None, None]:
    """Tune the learning rates of arms at their clip norms."""
    waiting = {arm: list(tuned.first) for arm in arms}
    tuned.rounds |= dict.fromkeys(arms, 0)
    while waiting:
        yield from _round(batch, tuned, waiting, key)
        waiting = {arm: more for arm in waiting if (more := beyond(tuned.rates[arm], tuned.place(arm)))}
        for arm in waiting:
            tuned.rounds[arm] += 1
            if tuned.rounds[arm] > MOST_ROUNDS:
                best = f"{tuned.best(arm):g} of {tuned.rates[arm][0]:g} to {tuned.rates[arm][-1]:g}"
                raise LabError(f"tuning {arm.name}: the best learning rate is still at the grid's end, {best}")


def _next_clip(tuned: Tuned, arm: Arm) -> Arm | None:
    """The arm at a clip norm beyond those tried, where the best one is at their end."""
    variants = tuned.variants[arm]
    at = variants.index(tuned.choice(arm))
    if len(variants) == 1 or 0 < at < len(variants) - 1:
        return None
    if len(variants) > len(CLIPS) + MOST_ROUNDS:
        best = f"{variants[at].plan.clip_norm:g}"
        raise LabError(f"tuning {arm.name}: the best clip norm is still at the grid's end, {best}")
    ratio = CLIPS[1] / CLIPS[0]
    more = arm.clipped_to(variants[at].plan.clip_norm * (ratio if at else 1 / ratio))
    variants.insert(len(variants) if at else 0, more)
    return more


def _round(
    batch: Batch, tuned: Tuned, waiting: dict[Arm, list[float]], key: str
) -> Generator[tuple[int, Event], None, None]:
    seeds = tuning_seeds(batch)
    networks = [
        Network(arm, seed, rate, purpose="tuning") for arm, rates in waiting.items() for rate in rates for seed in seeds
    ]
    yield from begin(batch, key, networks)
    reached = yield from train(batch, networks, "tuning learning rates")
    accuracy = reached["selection_accuracy"].double().view(-1, len(seeds)).mean(1).tolist()
    for arm, rates in waiting.items():
        tuned.add(arm, rates, accuracy[: len(rates)])
        del accuracy[: len(rates)]


def tuned_networks(batch: Batch, tuned: Tuned) -> list[Network]:
    """Every network that the tuning trained."""
    return [
        Network(arm, seed, rate, purpose="tuning")
        for arm, rates in tuned.rates.items()
        for rate in rates
        for seed in tuning_seeds(batch)
    ]


def _table(arms: Sequence[Arm], tuned: Tuned) -> dict[str, torch.Tensor]:
    rows = [
        (i, variant.plan.clip_norm, tuned.rounds[variant], rate, accuracy)
        for i, arm in enumerate(arms)
        for variant in tuned.variants[arm]
        for rate, accuracy in zip(tuned.rates[variant], tuned.accuracy[variant], strict=True)
    ]
    columns = zip(*rows, strict=True)
    return dict(zip(COLUMNS, (torch.tensor(column, dtype=torch.float64) for column in columns), strict=True))


def _restore(tuned: Tuned, arms: Sequence[Arm], held: Mapping[str, torch.Tensor]) -> None:
    for number, clip, rounds, rate, accuracy in zip(*(held[name].tolist() for name in COLUMNS), strict=True):
        arm = arms[int(number)]
        variant = arm if clip == arm.plan.clip_norm else arm.clipped_to(clip)
        if variant not in tuned.variants.setdefault(arm, []):
            tuned.variants[arm].append(variant)
        tuned.add(variant, [rate], [accuracy])
        tuned.rounds[variant] = int(rounds)
