"""Private random search: choosing one of many masks, and repeating the whole training, each at its price."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from labkit.experiments.frontier.arms import SELECTION_SHARE, Arm, Network
from labkit.experiments.frontier.batch import Batch, Table
from labkit.experiments.frontier.spec import CHOSEN, REPEATS, search_space
from labkit.experiments.frontier.training import Told, clipped_loss_sums
from labkit.population import chunks
from labkit.privacy.noise import secret_stream
from labkit.privacy.repeats import draw_repeats, noisy_score
from labkit.privacy.selection import choose
from labkit.runs.experiment import Job

BOUND = 4.0  # a loss counts at most this much: public, a little above that of guessing among ten classes
AT_ONCE = 256  # candidates between two chances to stop


@dataclass(frozen=True)
class Cell:
    """Where masks are drawn."""

    sparsity: float
    space: str
    seed: int


def cells(batch: Batch) -> list[Cell]:
    """Every place where a private choice is made."""
    found = []
    for job in batch.jobs:
        if any(arm.kind in (CHOSEN, REPEATS) for arm in batch.arms(job)):
            found.append(cell_of(job))
    return list(dict.fromkeys(found))


def cell_of(job: Job) -> Cell:
    """The place of one replicate."""
    return Cell(job.point.sparsity[0], job.point.space[0], job.seed)


def choose_masks(batch: Batch) -> Generator[Told, None, dict[tuple[Cell, int], int]]:
    """For each cell and number of candidates, the index that the exponential mechanism chose: all that is released.

    A candidate's utility is minus the sum of its clipped losses on the training set, before any training.
    """
    chosen = {}
    budgets = batch.point.budgets()
    for cell in cells(batch) if budgets else []:
        space = search_space(batch.dense, cell.space, cell.sparsity, cell.seed)
        parent, sums = batch.parent(cell.seed), []
        for which in chunks(budgets[-1], AT_ONCE):
            some = space.candidates(parent, list(which))
            sums.append(clipped_loss_sums(some.arch, some.params, batch.data.train, BOUND))
            yield 0, batch.progress("scoring masks")
        utilities = -torch.cat(sums)
        for k in budgets:
            generator = secret_stream(batch.point.noise_source, cell.seed, "choosing", *_labels(batch, cell), k)
            epsilon = SELECTION_SHARE * batch.plans.epsilon
            chosen[cell, k] = choose(utilities[:k], epsilon, BOUND, generator)
    return chosen


def repeated(batch: Batch, arm: Arm, cell: Cell, rate: float, suffix: str) -> list[Network]:
    """The trainings of one private repetition: a secret number, each with a mask, draws and noise of its own.

    Args:
        suffix: names the release; what is reported at two learning rates are two releases.
    """
    generator = secret_stream(batch.point.noise_source, cell.seed, "repeats", *_labels(batch, cell), suffix)
    number = draw_repeats(batch.plans.repeats.mean, batch.plans.repeats.shape, generator)
    draw = f"repeats at {cell.sparsity} {cell.space}{suffix}"
    return [Network(arm, cell.seed, rate, candidate=i, draw=f"{draw} {i}") for i in range(number)]


def winner(batch: Batch, cell: Cell, suffix: str, places: list[int], learned: Table) -> int:
    """The place of the repeat with the best noisy score; of the others nothing is kept."""
    generator = secret_stream(batch.point.noise_source, cell.seed, "scores", *_labels(batch, cell), suffix)
    scores = noisy_score(learned["right"][places], batch.plans.repeats.score_noise, generator)
    return places[int(scores.argmax())]


def _labels(batch: Batch, cell: Cell) -> tuple[str, ...]:
    return batch.mechanism(batch.plans.training), str(cell.sparsity), cell.space
