"""Training many candidates alike: their learning curves and final scores."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labkit.data import Split
from labkit.population import SGD, Trainer, epoch_batches, evaluate
from labkit.runs.events import Checkpoint, Event, Point, Progress
from labkit.search.pace import advance
from labkit.search.space import Candidates


@dataclass(frozen=True)
class Recipe:
    """How every arm is trained.

    Args:
        steps, batch_size, learning_rate, momentum: of stochastic gradient descent.
        evaluations: how often the selection split is looked at, evenly spaced, the last time at the end.
    """

    steps: int
    batch_size: int
    learning_rate: float
    evaluations: int
    momentum: float = 0.9

    def looks(self) -> list[int]:
        """The steps after which the selection split is evaluated."""
        count = min(self.evaluations, self.steps)
        return [self.steps * (i + 1) // count for i in range(count)]

    def trainer(self, some: Candidates, data: Split, order_seed: int, steps: int | None = None) -> Trainer:
        """A trainer of these candidates on batches that all of them share."""
        batches = epoch_batches(order_seed, len(data.train), self.batch_size, steps or self.steps)
        optimiser = SGD(self.learning_rate, self.momentum)
        return Trainer(some.arch, some.params, optimiser, data.train.x, data.train.y, batches, masks=some.masks)


Learned = dict[str, Tensor]
"""selection_accuracy and selection_loss [looks, M], test_accuracy and test_loss [M], on the CPU; captured [M] says
whether steps were replayed from a CUDA graph."""


def learn(
    some: Candidates,
    recipe: Recipe,
    data: Split,
    order_seed: int,
    *,
    key: str,
    checkpoint: Mapping[str, Tensor] | None = None,
    drawn: Mapping[str, int] | None = None,
    progress: Callable[[int], Progress] | None = None,
) -> Generator[Event, None, Learned]:
    """Train these candidates, yielding events, and return what they learned.

    Args:
        some: M candidates.
        order_seed: seeds the order of the examples, which all candidates share.
        key: names the checkpoints.
        checkpoint: a checkpoint's tensors to go on from; looks taken before it are not told again.
        drawn: arms whose learning curve is told while it grows, by the place of their candidate in `some`.
        progress: from the network-steps done here to the `Progress` to tell.
    """
    trainer = recipe.trainer(some, data, order_seed)
    rows: list[Tensor] = []
    if checkpoint:
        trainer.load(checkpoint)
        rows = list(checkpoint["looks"])
    for step in recipe.looks()[len(rows) :]:
        for rate in advance(trainer, step):
            if progress:
                yield replace(progress(trainer.done * trainer.count), rate=rate)
            yield Checkpoint(key, lambda: trainer.state() | {"looks": torch.stack(rows) if rows else torch.empty(0)})
        scores = evaluate(some.arch, trainer.params, data.selection.x, data.selection.y)
        rows.append(torch.stack([scores.accuracy, scores.loss]).cpu())
        for arm, place in (drawn or {}).items():
            yield curve_point(arm, step, rows[-1][:, place])
    looks = torch.stack(rows)
    final = evaluate(some.arch, trainer.params, data.test.x, data.test.y)
    return {
        "selection_accuracy": looks[:, 0].contiguous(),
        "selection_loss": looks[:, 1].contiguous(),
        "test_accuracy": final.accuracy.cpu(),
        "test_loss": final.loss.cpu(),
        "captured": torch.full((trainer.count,), trainer.captured),
    }


def curve_point(arm: str, step: int, accuracy_and_loss: Tensor) -> Point:
    """One point of an arm's learning curve, from its selection accuracy and loss [2]."""
    accuracy, loss = accuracy_and_loss.tolist()
    return Point("curve", {"arm": arm, "step": step, "selection_accuracy": accuracy, "selection_loss": loss})


def steps_to(threshold: float, accuracy: Tensor, looks: list[int]) -> tuple[Tensor, Tensor]:
    """The first look at which each member reached a selection accuracy: (steps [M], censored [M]).

    A member that never does is censored and counts the last look: averages are restricted means.
    """
    reached = accuracy >= threshold
    first = torch.where(reached.any(0), reached.int().argmax(0), len(looks) - 1)
    return torch.tensor(looks, dtype=torch.float32)[first], ~reached.any(0)
