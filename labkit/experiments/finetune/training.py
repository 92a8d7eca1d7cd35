"""Many fine-tunes as few populations as what moves allows, and what each of them reached."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.experiments.executions import Release, Stretch, Told, advance_all, stretches, together
from labkit.experiments.finetune.choosing import MOMENTUM, STRIDE, chosen, earlier, rows_in
from labkit.experiments.finetune.keeping import weights
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


@dataclass(frozen=True)
class Ended:
    """What is kept of a fine-tune that has ended.

    Args:
        numbers: of the results, by name.
        curve: selection accuracies.
        first: whether it is the one of its program that keeps what all of them reached.
    """

    numbers: dict[str, float]
    curve: list[float]
    first: bool


def train(lab: Lab, runs: Sequence[Run]) -> Generator[Told, None, dict[Run, Reached]]:
    """Train, or take what was finished earlier."""
    found: dict[Run, Reached] = {}
    groups: dict[tuple, list[Ready]] = {}
    ended = _ended(lab)
    for run in runs:
        stages = stages_of(run.point, lab.examples)
        if run.name in ended:
            lab.done += stages.steps
            found[run] = yield from _finish(lab, run, ended[run.name], *_earlier(lab, run), again=True)
            continue
        moves, choice = lab.moves(run.point, run.seed), None
        if moves.rows is None:
            choice = yield from chosen(lab, run.place, run.point, run.seed, run.rate, moves, run.name)
        rows = choice.rows if choice else moves.rows
        shapes = tuple((layer, len(index)) for layer, index in rows.items())
        # With noise from the operating system, what has no noise is on seeded draws: another program.
        alike = run.point.method, stages, shapes, lab.plan(run.point).noise_source
        groups.setdefault(alike, []).append(Ready(run, moves, rows, choice))
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
    # The program's name says who is in it: a checkpoint of other members must not be taken for this one's.
    name = f"{runs[0].point.method[0]} {_digest(run.name for run in runs)}"
    looked = _looks(lab, runs[0]) if any(run.told for run in runs) else []
    held = lab.resources.checkpoints.get(f"training-{name}", {})
    curve: list[list[float]] = held["curve"].tolist() if held else []
    said = [_said(lab, run) for run in runs]
    said[0] = max(said[0], int(held["step"]) if held else 0)  # the checkpoint is the first one's

    def reached(k: int, part: str) -> tuple[float, float]:
        own = take(trainer.params, slice(k, k + 1))
        return scored(tail, own, k, lab.features(tail.first, part), lab.parts[part].y)

    def tell(step: int, accuracies: Sequence[float]) -> Iterator[Told]:
        for run, plan, last, accuracy in zip(runs, plans, said, accuracies, strict=True):
            if run.told and step > last:
                yield from told(run, plan, step, accuracy)

    def look(step: int) -> Iterator[Told]:
        curve.append([reached(k, "selection")[0] for k in range(len(runs))])
        yield from tell(step, curve[-1])

    for step, accuracies in zip(looked, curve, strict=False):
        yield from tell(step, accuracies)
    began, steps = time.perf_counter(), (stages.train - stages.warm) * len(runs)
    trained = yield from advance_all(
        lab, releases, name, trainer, seconds=steps, stride=STRIDE, looks=looked, look=look, called=_called(runs),
        beside=lambda: {"curve": torch.tensor(curve, dtype=torch.float64)},
    )  # fmt: skip
    if lab.device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - began) / max(1, steps)
    found = {}
    for k, ready in enumerate(group):
        accuracy, loss = reached(k, "test")
        found[ready.run.name] = Ended({
            "test_accuracy": accuracy,
            "test_loss": bounded(loss),
            "selection_accuracy": reached(k, "selection")[0],
            "seconds_per_step": seconds,
            "not_private_clipped": float(trainer.clipped[k]) / max(1.0, float(trainer.seen[k])),
            "not_private_dropped": float(trainer.dropped[k]),
        } | sizes(lab, ready, tail), [accuracies[k] for accuracies in curve], first=not k)  # fmt: skip
    for k, ready in enumerate(group):
        # Before what ends it: whoever was stopped in between trains once more, and what comes of that takes this place.
        if ready.run.told and ready.run.point.keep_weights:
            yield ready.run.place, weights(ready.run.point.method[0], tail, trainer.params, k)
    # All at once: after a stop between two of them the others would be trained, and paid for, once more.
    yield runs[0].place, Chunk(f"ended {runs[0].name}", _packed(found))
    ends = {}
    for ready, own in zip(group, trained, strict=True):
        begun = [*(ready.choice.begun if ready.choice else ()), own]
        ends[ready.run] = yield from _finish(lab, ready.run, found[ready.run.name], begun, ready.rows)
    return ends


def _finish(
    lab: Lab, run: Run, ended: Ended, begun: Sequence[list[Stretch]], rows: Rows, again: bool = False
) -> Generator[Told, None, Reached]:
    """Say what a fine-tune that has ended did with its plan, once.

    Args:
        again: it had ended before a stop, which took what it had said since its last file.
    """
    if f"trained {run.name}" not in lab.resources.chunks:
        plan = lab.plan(run.point)
        lost = again and run.told and not ended.first
        for step, accuracy in zip(_looks(lab, run), ended.curve, strict=True) if lost else ():
            if step > _said(lab, run):
                yield from told(run, plan, step, accuracy)
        for row in ledger(lab, run, plan, begun):
            yield run.place, row
        yield run.place, Chunk(f"trained {run.name}", {})
    return Reached(ended.numbers, together(begun), rows)


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


def _earlier(lab: Lab, run: Run) -> tuple[list[list[Stretch]], Rows]:
    """What was begun of a fine-tune that had ended before, by stages, and its rows."""
    plan, stages, chunks = lab.plan(run.point), stages_of(run.point, lab.examples), lab.resources.chunks
    names = (f"{run.name} warm-up", f"{run.name} scores", run.name)
    spans = ((0, stages.warm), (stages.train, stages.steps), (stages.warm, stages.train))
    begun = [earlier(lab, plan, name, span) for name, span in zip(names, spans, strict=True) if span[1] > span[0]]
    rows = lab.moves(run.point, run.seed).rows
    return begun, rows_in(chunks[f"chosen {run.name}"]) if rows is None else rows


def _looks(lab: Lab, run: Run) -> list[int]:
    """Steps of its training after which the selection split is looked at."""
    stages = stages_of(run.point, lab.examples)
    return [step for step in looks(run.point, stages.train) if step > stages.warm]


def _said(lab: Lab, run: Run) -> int:
    """The step up to which the store still has what was said of a training that was stopped: with noise from the
    operating system that where its last stretch began, as what is begun is kept."""
    plan = lab.plan(run.point)
    fresh = plan.private and plan.noise_source == OS
    return max((s.first for s in stretches(lab.resources.chunks, run.name)), default=0) if fresh else 0


def _ended(lab: Lab) -> dict[str, Ended]:
    """The fine-tunes that had ended before, by name."""
    found: dict[str, Ended] = {}
    for key, held in lab.resources.chunks.items():
        first = key.removeprefix("ended ")
        for name, value in held.items() if first != key else ():
            run, _, number = name.rpartition(" ")
            ended = found.setdefault(run, Ended({}, [], first=run == first))
            if number == "curve":
                ended.curve.extend(value.tolist())
            else:
                ended.numbers[number] = float(value)
    return found


def _packed(ended: Mapping[str, Ended]) -> dict[str, Tensor]:
    return {
        f"{name} {number}": torch.tensor(value, dtype=torch.float64)
        for name, own in ended.items()
        for number, value in (*own.numbers.items(), ("curve", own.curve))
    }


def _called(runs: Sequence[Run]) -> str:
    """What progress calls a population."""
    first, count = runs[0].point, len(runs)
    return f"{first.method[0]}, {count} fine-tunes at once" if count > 1 else f"{first.method[0]}, seed {runs[0].seed}"


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
