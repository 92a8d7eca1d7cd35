"""Exercises of notebook 05: rows and sparsity, how far one example moves lengths of rows, noise against signal."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from labkit.finetune.rows import LAYER, random_rows
from labkit.lessons.exercise import Case, Exercise, Mistake

Layers = list[tuple[int, int]]


def _moving(layers: Layers, sparsity: float) -> int:
    """Counted in a draw of the lab's own random rows."""
    named = {str(at): layer for at, layer in enumerate(layers)}
    drawn = random_rows(named, sparsity, LAYER, torch.Generator().manual_seed(0))
    return sum(len(index) * named[name][1] for name, index in drawn.items())


def _each(count: Callable[[int, float], float], numbers: bool = True):
    return lambda layers, sparsity: sum(count(rows, sparsity) * (each if numbers else 1) for rows, each in layers)


def _clipped(generator: np.random.Generator) -> list[Case]:
    cases = []
    for examples, rows, numbers in ((5, 4, 3), (8, 6, 2)):
        gradients = generator.normal(size=(examples, rows, numbers))
        lengths = np.linalg.norm(gradients.reshape(examples, -1), axis=1)
        gradients *= (np.linspace(0.4, 1, examples) / lengths)[:, None, None]  # as if clipped to 1
        cases += [(gradients, 0), (gradients, examples - 1)]
    return cases


def _change(gradients: np.ndarray, person: int) -> np.ndarray:
    """Of each row's length."""
    lengths = np.linalg.norm(gradients.sum(0), axis=1)
    return lengths - np.linalg.norm(np.delete(gradients, person, axis=0).sum(0), axis=1)


def _plans(generator: np.random.Generator) -> list[Case]:
    return [(int(d), float(generator.uniform(0.5, 4)), b) for d, b in ((289_194, 128), (8_010, 256), (400, 64))]


EXERCISES = (
    Exercise(
        name="05.moving_numbers",
        task=(
            "layers lists (rows, numbers in a row) of each layer that may move. Write a function "
            "moving_numbers(layers, sparsity): how many numbers move, when in each layer the share `sparsity` of the "
            "rows stays frozen. Rows that move are rounded up, so that no layer is left without one."
        ),
        returns="one whole number",
        truth=_moving,
        cases=lambda generator: [([(128, 1152), (10, 33)], 0.7), ([(32, 27), (64, 288), (7, 5)], 0.9)],
        mistakes=(
            Mistake(
                lambda layers, sparsity: (1 - sparsity) * sum(rows * each for rows, each in layers),
                "that is a share of all numbers. Rows move as a whole: how many rows of each layer?",
            ),
            Mistake(
                _each(lambda rows, sparsity: math.floor((1 - sparsity) * rows + 1e-9)),
                "rows are rounded down; a small layer could be left without one",
            ),
            Mistake(
                _each(lambda rows, sparsity: math.ceil(sparsity * rows - 1e-9)),
                "you take sparsity for the share that moves. Here it is the share that stays frozen (the authors' "
                "program counts the other way)",
            ),
            Mistake(
                _each(lambda rows, sparsity: math.ceil((1 - sparsity) * rows - 1e-9), numbers=False),
                "those are rows; how many numbers are in them?",
            ),
            Mistake(
                _each(lambda rows, sparsity: math.ceil((1 - sparsity) * rows)),
                "one row too many somewhere: 1 - 0.7 is a little more than 0.3 in binary, and rounding up makes a row "
                "of it. Allow for that before you round",
            ),
        ),
        hint="for each layer: rows that move, rounded up, times the numbers in a row.",
        lesson="The noise falls on these numbers and on no others.",
    ),
    Exercise(
        name="05.length_change",
        task=(
            "gradients[i, row] is example i's gradient, already clipped. A step is scored by the lengths of the rows "
            "of the sum over examples. Write a function length_change(gradients, person): how far that list of lengths "
            "moves, as one L2 length, when this example is taken out."
        ),
        returns="one number of at least 0",
        truth=lambda gradients, person: np.linalg.norm(_change(gradients, person)),
        cases=_clipped,
        mistakes=(
            Mistake(
                lambda gradients, person: np.abs(_change(gradients, person)).sum(),
                "you add the changes up. Gaussian noise is measured against the length of the list of changes, the "
                "root of the sum of their squares",
            ),
            Mistake(
                lambda gradients, person: np.linalg.norm(gradients[person]),
                "that is how far the sum of gradients moves. The lengths move less: a row may turn without growing",
            ),
            Mistake(
                lambda gradients, person: abs(
                    np.linalg.norm(gradients.sum(0)) - np.linalg.norm(np.delete(gradients, person, axis=0).sum(0))
                ),
                "that is the change of one length over all rows; each row has a length of its own",
            ),
            Mistake(
                lambda gradients, person: np.abs(_change(gradients, person)).max(),
                "that is the row that changes most; the list has others too",
            ),
            Mistake(
                lambda gradients, person: np.abs(_change(gradients, person)),
                "those are the changes row by row. How long is that list, as one number?",
            ),
        ),
        hint="one length for each row with the example, and one without; the difference of both lists; its length.",
        lesson="It never exceeds the example's clipped gradient: the same sigma makes this as private as a step.",
    ),
    Exercise(
        name="05.noise_to_signal",
        task=(
            "Write a function noise_to_signal(moving, sigma, batch): the root mean squared length of a step's noise "
            "over the longest that the sum of the batch's clipped gradients can be, when that many numbers move."
        ),
        returns="one number above 0",
        truth=lambda moving, sigma, batch: math.sqrt(moving) * sigma / batch,
        cases=_plans,
        mistakes=(
            Mistake(
                lambda moving, sigma, batch: moving * sigma / batch,
                "lengths add up like the sides of a right angle: four times as many numbers make noise twice as long",
            ),
            Mistake(
                lambda moving, sigma, batch: sigma / batch,
                "that is the noise on one number; it falls on every number that moves",
            ),
            Mistake(
                lambda moving, sigma, batch: math.sqrt(moving) * sigma,
                "that is the noise over one example's gradient; a batch has many that may all pull the same way",
            ),
            Mistake(
                lambda moving, sigma, batch: batch / (math.sqrt(moving) * sigma),
                "that is signal over noise; turn it round",
            ),
            Mistake(
                lambda moving, sigma, batch: moving * (sigma / batch) ** 2,
                "that is the mean of the squared length; take the root",
            ),
        ),
        hint="what is the mean square of the noise on one number, and on all of them? How long can a sum of that many "
        "clipped gradients be? The clip norm cancels.",
        lesson="One number in a hundred makes noise a tenth as long, at the same epsilon.",
    ),
)
