"""Choosing the rows of one fine-tune by private scores: what is released, what it costs, how far noise moved it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.experiments.charged import is_word
from labkit.experiments.executions import Stretch, Told, advance, stretches
from labkit.experiments.finetune.lab import Lab, keys, release_label
from labkit.experiments.finetune.plans import SELECTION_SHARE, method_of, stages_of
from labkit.experiments.finetune.spec import FinetuneSpec
from labkit.finetune.lookahead import losses_after
from labkit.finetune.method import Moves, row_layers
from labkit.finetune.rows import NORMS, SUMS, Rows, overlap, random_rows, top_rows
from labkit.finetune.scores import NORM, RowScores
from labkit.finetune.tail import Tail
from labkit.population.params import Params
from labkit.privacy import Plan, PrivateTrainer
from labkit.privacy.noise import OS, secret_stream
from labkit.privacy.selection import choose
from labkit.runs.events import Chunk

MOMENTUM = 0.9
BOUND = 4.0  # a loss counts at most this much: public, a little above that of guessing among ten classes
STRIDE = 16  # steps between two words of progress


@dataclass(frozen=True)
class Choice:
    """What was chosen for one fine-tune.

    Args:
        rows: the rows that move: released.
        warmed: what the warm-up trained, without an axis of members: released; empty without one.
        overlap: share of the rows that the same scores without noise would have chosen: not private; None where the
            noiseless scores were not written down.
        begun: of each stage before the training, what was ever begun.
    """

    rows: Rows
    warmed: Params
    overlap: float | None
    begun: tuple[list[Stretch], ...]


def chosen(
    lab: Lab, place: int, point: FinetuneSpec, seed: int, rate: float, moves: Moves, name: str
) -> Generator[Told, None, Choice]:
    """Warm up if asked for, score, and choose.

    What was chosen is kept before it is used: a run that goes on after a stop must not look at the data again.

    Args:
        rate: learning rate of the warm-up.
        name: of the fine-tune.
    """
    stages, plan = stages_of(point, lab.examples), lab.plan(point)
    spans = {f"{name} warm-up": (0, stages.warm), f"{name} scores": (stages.train, stages.steps)}
    spans = {name: span for name, span in spans.items() if span[1] > span[0]}
    held = lab.resources.chunks.get(f"chosen {name}")
    if held is None:
        begun: list[list[Stretch]] = []
        warmed: Params = {}
        if stages.warm:
            warmed, own = yield from _warmed(lab, place, point, seed, rate, moves, name)
            begun.append(own)
        base, layers = warmed or lab.head(seed), row_layers(moves.network, lab.first)
        # What a warm-up moved stands before the first scored layer, too: features of public weights end before it.
        at = lab.first if warmed else min(moves.network.stage_of(layer) for layer in layers)
        scorer = RowScores(
            moves.network, layers, method_of(point).reading, plan,
            lab.features(at, "train"), lab.parts["train"].y, base=base, at=at, span=(stages.train, stages.steps),
            **keys(lab, point, seed, rate),
        )  # fmt: skip
        called = f"{point.method[0]}, seed {seed}: scores of rows"
        given = {"seconds": stages.score, "stride": STRIDE, "called": called}
        begun.append((yield from advance(lab, place, f"{name} scores", scorer, **given)))
        rows, noiseless = yield from _rows(lab, place, point, seed, rate, moves, scorer, base)
        held = {f"rows {layer}": index for layer, index in rows.items()}
        held |= {f"warmed {key}": tensor.cpu() for key, tensor in warmed.items()}
        if noiseless is not None:
            held["overlap"] = torch.tensor(overlap(rows, noiseless), dtype=torch.float64)
        yield place, Chunk(f"chosen {name}", held)
    else:
        lab.done += stages.warm + stages.score
        begun = [earlier(lab, plan, name, span) for name, span in spans.items()]
    warmed = {name: tensor.to(lab.device) for name, tensor in _starting(held, "warmed ").items()}
    found = float(held["overlap"]) if "overlap" in held else None
    return Choice(rows_in(held), warmed, found, tuple(begun))


def _warmed(
    lab: Lab, place: int, point: FinetuneSpec, seed: int, rate: float, moves: Moves, name: str
) -> Generator[Told, None, tuple[Params, list[Stretch]]]:
    """What a warm-up trains beside the rows, and what was ever begun of it.

    It is kept: scores that were begun after it must not go on after another one.
    """
    plan, span, key = lab.plan(point), (0, stages_of(point, lab.examples).warm), f"warmed {name}"
    if (held := lab.resources.chunks.get(key)) is not None:
        lab.done += span[1]
        warmed = {name: tensor.to(lab.device) for name, tensor in held.items()}
        return warmed, earlier(lab, plan, f"{name} warm-up", span)
    tail, train = Tail(moves.network, moves.whole), lab.parts["train"]
    trainer = PrivateTrainer(
        tail, tail.start(lab.head(seed)), [plan], lab.features(tail.first, "train"), train.y,
        learning_rate=rate, momentum=MOMENTUM, span=span, **_two(keys(lab, point, seed, rate)),
    )  # fmt: skip
    given = {"seconds": span[1], "stride": STRIDE, "called": f"{point.method[0]}, seed {seed}: warm-up"}
    begun = yield from advance(lab, place, f"{name} warm-up", trainer, **given)
    warmed = {name: tensor[0].clone() for name, tensor in trainer.params.items()}
    yield place, Chunk(key, {name: tensor.cpu() for name, tensor in warmed.items()})
    return warmed, begun


def earlier(lab: Lab, plan: Plan, name: str, span: tuple[int, int]) -> list[Stretch]:
    """What was ever begun of a stage that has ended."""
    fresh = plan.private and plan.noise_source == OS
    return stretches(lab.resources.chunks, name) if fresh else [Stretch(0, *span)]


def rows_in(held: Mapping[str, Tensor]) -> Rows:
    """The rows of a stored choice."""
    return _starting(held, "rows ")


def _starting(held: Mapping[str, Tensor], start: str) -> Params:
    return {key.removeprefix(start): tensor for key, tensor in held.items() if key.startswith(start)}


def _two(one: dict[str, int]) -> dict[str, list[int]]:
    """The keys of one member as `PrivateTrainer` takes them."""
    return {"draw_keys": [one["draw_key"]], "noise_keys": [one["noise_key"]]}


def _rows(
    lab: Lab, place: int, point: FinetuneSpec, seed: int, rate: float, moves: Moves, scorer: RowScores, base: Params
) -> Generator[Told, None, tuple[Rows, Rows | None]]:
    """The rows that are released, and those that would have been without noise in the choice, if that is known."""
    layers = row_layers(moves.network, lab.first)
    size = {"sparsity": point.sparsity[0], "scope": point.scope[0]}
    if not method_of(point).searches:
        power = NORMS if scorer.reading == NORM else SUMS
        scores = scorer.scores(), scorer.noiseless_scores()
        return tuple(found if found is None else top_rows(found, layers, **size, power=power) for found in scores)
    settings = [lab.setting(point, seed, candidate) for candidate in range(point.budget)]
    candidates = [random_rows(layers, **size, generator=setting.generator) for setting in settings]
    gradient, losses, y = scorer.released_gradient(), [], lab.parts["train"].y
    for total in losses_after(moves.network, gradient, candidates, scorer.x, y, BOUND, base=base, at=scorer.arch.first):
        losses.append(total)
        yield place, lab.progress(f"search: set of rows {len(losses)} of {len(candidates)}")
    utilities = -torch.stack(losses)
    best = int(utilities.argmax())
    if is_word(point.epsilon[0]):
        return candidates[best], candidates[best]
    generator = secret_stream(point.noise_source, seed, "search", release_label(lab, point, rate))
    index = choose(utilities, SELECTION_SHARE * point.epsilon[0], BOUND, generator)
    return candidates[index], candidates[best]
