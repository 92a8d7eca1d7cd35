"""Many fine-tunes as few populations as what moves allows, and what each of them reached."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from labkit.experiments.executions import Release, Stretch, Told, advance_all, stretches, together
from labkit.experiments.finetune.choosing import MOMENTUM, STRIDE, chosen, rows_in
from labkit.experiments.finetune.lab import Lab, keys
from labkit.experiments.finetune.plans import stages_of
from labkit.experiments.finetune.reached import Reached, Ready, Run, ledger, looks, scored, sizes, told
from labkit.finetune.rows import Rows
from labkit.finetune.tail import Tail
from labkit.population import take
from labkit.privacy import PrivateTrainer
from labkit.privacy.noise import OS
from labkit.runs.events import Chunk
from labkit.runs.values import bounded

MOST = {"cpu": 8, "cuda": 64}  # networks at once: more gain nothing, and make a stop slower


def train(lab: Lab, runs: Sequence[Run]) -> Generator[Told, None, dict[Run, Reached]]:
    """Train, or take what was finished earlier."""
    found: dict[Run, Reached] = {}
    groups: dict[tuple, list[Ready]] = {}
    for run in runs:
        stages = stages_of(run.point, lab.examples)
        held = lab.resources.chunks.get(f"trained {run.name}")
        if held:
            lab.done += stages.steps + stages.warm
            found[run] = Reached(_unpacked(held), *_earlier(lab, run))
            continue
        moves, choice = lab.moves(run.point, run.seed), None
        if moves.rows is None:
            choice = yield from chosen(lab, run.place, run.point, run.seed, run.rate, moves, run.name)
        rows = choice.rows if choice else moves.rows
        shapes = tuple((layer, len(index)) for layer, index in rows.items())
        groups.setdefault((run.point.method, stages, shapes), []).append(Ready(run, moves, rows, choice))
    most = MOST.get(lab.device.type, 8)
    for group in groups.values():
        for start in range(0, len(group), most):
            found |= yield from _population(lab, group[start : start + most])
    return found


def _population(lab: Lab, group: Sequence[Ready]) -> Generator[Told, None, dict[Run, Reached]]:
    """Train fine-tunes in which equally many rows move, as one program."""
    runs, stages = [ready.run for ready in group], stages_of(group[0].run.point, lab.examples)
    tail, trainer = trainer_of(lab, group)
    plans = trainer.plans
    releases = [Release(run.place, run.name, plan) for run, plan in zip(runs, plans, strict=True)]

    def reached(k: int, part: str) -> tuple[float, float]:
        own = take(trainer.params, slice(k, k + 1))
        return scored(tail, own, k, lab.features(tail.first, part), lab.parts[part].y)

    def look(step: int) -> Iterator[Told]:
        for k, (run, plan) in enumerate(zip(runs, plans, strict=True)):
            if run.told:
                yield from told(run, plan, step, reached(k, "selection")[0])

    looked = looks(group[0].run.point, stages.train) if any(run.told for run in runs) else ()
    # The program's name says who is in it: a checkpoint of other members must not be taken for this one's.
    name = f"{runs[0].point.method[0]} {_digest(run.name for run in runs)}"
    began, steps = time.perf_counter(), (stages.train - stages.warm) * len(runs)
    trained = yield from advance_all(
        lab, releases, name, trainer, seconds=steps, stride=STRIDE, looks=looked, look=look
    )
    if lab.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / max(1, steps)
    found = {}
    for k, (ready, plan, begun) in enumerate(zip(group, plans, trained, strict=True)):
        accuracy, loss = reached(k, "test")
        numbers = {
            "test_accuracy": accuracy,
            "test_loss": bounded(loss),
            "selection_accuracy": reached(k, "selection")[0],
            "seconds_per_step": seconds,
            "not_private_clipped": float(trainer.clipped[k]) / max(1.0, float(trainer.seen[k])),
            "not_private_dropped": float(trainer.dropped[k]),
        } | sizes(lab, ready, tail)
        before = ready.choice.begun if ready.choice else ()
        for row in ledger(lab, ready.run, plan, [*before, begun], name):
            yield ready.run.place, row
        yield ready.run.place, Chunk(f"trained {ready.run.name}", _packed(numbers))
        found[ready.run] = Reached(numbers, together([*before, begun]), ready.rows)
    return found


def trainer_of(lab: Lab, group: Sequence[Ready]) -> tuple[Tail, PrivateTrainer]:
    """The population of fine-tunes in which equally many rows move; those of one seed share their draws."""
    first, train = group[0], lab.parts["train"]
    every = [ready.rows for ready in group]
    rows = {layer: torch.stack([own[layer] for own in every]) for layer in first.rows}
    tail = Tail(first.moves.network, first.moves.whole, rows)
    params = tail.start({}, len(group))
    for k, ready in enumerate(group):
        # Adapters are drawn with the network that holds them; a warm-up has moved what stands beside the rows.
        own = ready.moves.network.parameters() if ready.moves.network is not lab.network else {}
        own = {**own, **lab.head(ready.run.seed), **(ready.choice.warmed if ready.choice else {})}
        for name, value in own.items():
            if name in tail.whole:
                params[name][k] = value
    runs, stages = [ready.run for ready in group], stages_of(first.run.point, lab.examples)
    held = [keys(lab, run.point, run.seed, run.rate) for run in runs]
    # One draw for each seed: with keys from the operating system each call made another.
    draws = {run.seed: own["draw_key"] for run, own in zip(runs, held, strict=True)}
    trainer = PrivateTrainer(
        tail, params, [lab.plan(run.point) for run in runs], lab.features(tail.first, "train"), train.y,
        learning_rate=[run.rate for run in runs], momentum=MOMENTUM, span=(stages.warm, stages.train),
        draw_keys=list(draws.values()), groups=[list(draws).index(run.seed) for run in runs],
        noise_keys=[own["noise_key"] for own in held], tf32=True,
    )  # fmt: skip
    return tail, trainer


def _earlier(lab: Lab, run: Run) -> tuple[list[Stretch], Rows]:
    """What was begun of a fine-tune that was finished before, and its rows."""
    plan, stages, chunks = lab.plan(run.point), stages_of(run.point, lab.examples), lab.resources.chunks
    begun = [Stretch(0, 0, stages.steps)]
    if plan.private and plan.noise_source == OS:
        names = (f"{run.name} warm-up", f"{run.name} scores", run.name)
        begun = together(stretches(chunks, name) for name in names)
    rows = lab.moves(run.point, run.seed).rows
    return begun, rows_in(chunks[f"chosen {run.name}"]) if rows is None else rows


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]


def _packed(numbers: dict[str, float]) -> dict[str, Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in numbers.items()}


def _unpacked(held: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in held.items()}
