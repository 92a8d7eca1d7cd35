"""Many fine-tunes as few populations as what moves allows, and what each of them reached."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.experiments.charged import is_word
from labkit.experiments.executions import Release, Stretch, Told, advance_all, ledger_rows, stretches, together
from labkit.experiments.finetune.choosing import MOMENTUM, STRIDE, Choice, chosen, rows_in
from labkit.experiments.finetune.lab import Lab, draw_label, keys
from labkit.experiments.finetune.plans import SELECTION_SHARE, stages_of
from labkit.experiments.finetune.spec import RANDOM, FinetuneSpec
from labkit.finetune.method import Moves, row_layers
from labkit.finetune.rows import Rows, chance, frozen_share
from labkit.finetune.tail import Tail
from labkit.population import take
from labkit.population.precision import matmul_precision
from labkit.privacy import Plan, PrivateTrainer
from labkit.privacy.noise import OS
from labkit.privacy.record import so_far
from labkit.runs.events import Chunk, Point
from labkit.runs.naming import canonical
from labkit.runs.values import bounded

MOST = {"cpu": 8, "cuda": 64}  # networks at once: more gain nothing, and make a stop slower
EVALUATED = 1024  # images at once


@dataclass(frozen=True)
class Run:
    """One fine-tune to be trained.

    Args:
        place: of the job that it belongs to.
        told: whether its curve is for the store; of the tuning only the ledger is.
    """

    place: int
    point: FinetuneSpec
    seed: int
    rate: float
    told: bool = True

    @property
    def name(self) -> str:
        return f"{canonical(self.point.hashed())} {self.seed} {self.rate:g}"


@dataclass(frozen=True)
class Reached:
    """What one fine-tune reached.

    Args:
        numbers: of the results, by name.
        begun: all that was ever begun of it.
        rows: that moved beside what moves whole.
    """

    numbers: dict[str, float]
    begun: list[Stretch]
    rows: Rows


@dataclass(frozen=True)
class Ready:
    """A fine-tune that knows what moves."""

    run: Run
    moves: Moves
    rows: Rows
    choice: Choice | None


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
    selection, test = (lab.parts[name] for name in ("selection", "test"))
    features = {name: lab.features(tail.first, name) for name in ("selection", "test")}

    def accuracies() -> list[float]:
        members = range(len(runs))
        return [_scores(tail, trainer, k, features["selection"], selection.y)[0] for k in members]

    def look(step: int) -> Iterator[Told]:
        for run, plan, accuracy in zip(runs, plans, accuracies(), strict=True):
            if run.told:
                yield from _told(run, plan, step, accuracy)

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
        accuracy, loss = _scores(tail, trainer, k, features["test"], test.y)
        numbers = {
            "test_accuracy": accuracy,
            "test_loss": bounded(loss),
            "selection_accuracy": _scores(tail, trainer, k, features["selection"], selection.y)[0],
            "seconds_per_step": seconds,
            "not_private_clipped": float(trainer.clipped[k]) / max(1.0, float(trainer.seen[k])),
            "not_private_dropped": float(trainer.dropped[k]),
        } | _sizes(lab, ready, tail)
        before = ready.choice.begun if ready.choice else ()
        for row in _ledger(lab, ready.run, plan, [*before, begun], name):
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


def looks(point: FinetuneSpec, steps: int) -> list[int]:
    """Steps after which the selection split is looked at."""
    count = min(point.evaluations, steps)
    return [steps * (i + 1) // count for i in range(count)]


@torch.no_grad()
def _scores(tail: Tail, trainer: PrivateTrainer, k: int, x: Tensor, y: Tensor) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of one member: `labkit.population.evaluate` takes members apart, whose rows a
    tail holds by their places."""
    own, right, loss = take(trainer.params, slice(k, k + 1)), 0.0, 0.0
    with matmul_precision(True):
        for part, labels in zip(x.split(EVALUATED), y.split(EVALUATED), strict=True):
            logits = tail.member(k).logits(own, part)[0].float()
            right += float((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return right / len(y), loss / len(y)


def _told(run: Run, plan: Plan, step: int, accuracy: float) -> Iterator[Told]:
    (epsilon,), (method,) = run.point.epsilon, run.point.method
    values = {"method": method, "arm": method, "epsilon_word": epsilon if is_word(epsilon) else f"{epsilon:g}"}
    values |= {"step": step, "selection_accuracy": accuracy}
    yield run.place, Point("curve", values)
    if method == RANDOM and plan.private:
        spent = {"plan": f"a network of epsilon {epsilon:g}"}
        yield run.place, Point("spent", so_far(plan, step, epsilon) | spent)


def _sizes(lab: Lab, ready: Ready, tail: Tail) -> dict[str, float]:
    """How much moves, and how far noise moved the choice."""
    moving = sum(torch.Size(shape).numel() for shape in tail.shapes().values())
    found = {"moving": moving, "weights": sum(t.numel() for t in lab.network.parameters().values())}
    if not ready.rows:
        return found
    layers = row_layers(ready.moves.network, lab.first)
    found |= {"rows_chosen": sum(len(index) for index in ready.rows.values())}
    found |= {"frozen_share": frozen_share(ready.rows, layers)}
    if ready.choice:
        found["chance_overlap"] = chance(ready.rows, layers, ready.run.point.scope[0])
        found["not_private_overlap"] = ready.choice.overlap
    return found


def _ledger(lab: Lab, run: Run, plan: Plan, begun: Sequence[list[Stretch]], program: str) -> Iterator[Point]:
    """What a fine-tune did with its plan, as rows of the series `ledger`.

    Of seeded ones, training is on draws that all methods of a seed share, and scoring on draws of its own.
    """
    stages = stages_of(run.point, lab.examples)
    if plan.noise_source == OS:
        yield from ledger_rows(plan, together(begun), f"{program} {run.seed}")
    else:
        drawn = f"{draw_label(lab, run.point)} {run.seed}"
        yield from ledger_rows(plan, [Stretch(0, 0, stages.train)], drawn)
        if stages.score:
            yield from ledger_rows(plan, [Stretch(0, stages.train, stages.steps)], f"{drawn} scores")
    if plan.also:
        epsilon = SELECTION_SHARE * run.point.epsilon[0]
        yield Point("ledger", {"what": "chosen", "epsilon_each": epsilon, "times": 1, "delta": plan.delta})


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
