"""Exercises of notebook 01: the best of K by chance, what a score adds to it, and what a mask leaves."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import stats

from labkit.lessons.exercise import Case, Exercise, Mistake
from labkit.sparsity import draw_nodes, kept_counts, node_masks
from labkit.stats import expected_best


def _weights_left(sizes: tuple[int, ...], sparsity: float) -> int:
    """Counted in the masks that the lab itself trains with."""
    pairs = list(itertools.pairwise(sizes))
    shapes = {f"{at}.weight": (after, before) for at, (before, after) in enumerate(pairs)}
    masks = node_masks(shapes, draw_nodes(sizes[1:-1], sparsity, 0, [0]))
    return int(sum(masks[name].sum() for name in shapes))


def _total(sizes: tuple[int, ...]) -> int:
    return sum(a * b for a, b in itertools.pairwise(sizes))


def _thin(sizes: tuple[int, ...], sparsity: float) -> tuple[int, ...]:
    return (sizes[0], *kept_counts(sizes[1:-1], sparsity), sizes[-1])


def _networks(generator: np.random.Generator) -> list[Case]:
    return [((50, 20, 30, 5), 0.5), ((40, 100, 100, 100, 10), 0.9), ((784, 37, 10), 0.8)]


EXERCISES = (
    Exercise(
        name="01.best_of",
        task=(
            "Write a function best_of(k): the mean of the largest of k independent standard normal numbers, to within "
            "5 %. Simulate it with some 20,000 repeats, or integrate."
        ),
        returns="one number",
        truth=expected_best,
        cases=lambda generator: [(2,), (10,), (100,), (1000,)],
        mistakes=(
            Mistake(
                lambda k: math.sqrt(2 * math.log(k)),
                "it is too large: the square root of 2 ln k is a bound that the best of k comes near only for very "
                "many draws",
            ),
            Mistake(
                lambda k: stats.norm.ppf(1 - 1 / k),
                "that is the value that one draw in k exceeds; the largest of k lies above it on average",
            ),
            Mistake(
                lambda k: 0.0,
                "that is the mean of all draws. Keep the largest of each k, and take the mean over many repeats",
            ),
            Mistake(
                lambda k: -expected_best(k),
                "the sign is turned round: that is the smallest of the k",
            ),
        ),
        hint="an array of repeats x k normal numbers, its maximum along one axis, the mean of those maxima.",
        lesson="So much does the best of k lie above the average by luck alone: a search must be better than that.",
        tolerance=0.05,
    ),
    Exercise(
        name="01.expected_gain",
        task=(
            "Candidates differ in final accuracy by a standard deviation called spread. A score is known before "
            "training and has the correlation rho with that accuracy. Write a function expected_gain(budget, rho, "
            "spread): how far the candidate of the best score lies above the average in accuracy, if all is normal. "
            "(`labkit.stats.expected_best` is the function of the exercise before.)"
        ),
        returns="one number, in units of accuracy",
        truth=lambda budget, rho, spread: rho * spread * expected_best(budget),
        cases=lambda generator: (
            [(int(k), float(generator.uniform(0.1, 0.9)), 0.03) for k in (2, 32, 1000)] + [(64, 0.0, 0.02)]
        ),
        mistakes=(
            Mistake(
                lambda budget, rho, spread: spread * expected_best(budget),
                "that is the gain of somebody who can see the final accuracy. The score only foretells a part of it",
            ),
            Mistake(
                lambda budget, rho, spread: rho * expected_best(budget),
                "that is in standard deviations. How much accuracy is one of them?",
            ),
            Mistake(
                lambda budget, rho, spread: rho**2 * spread * expected_best(budget),
                "the square of a correlation is a share of variance; the expected accuracy follows the score in a "
                "straight line, whose slope is something else",
            ),
            Mistake(
                lambda budget, rho, spread: expected_best(budget),
                "that is the best score, in standard deviations of the score. What does it say about accuracy?",
            ),
        ),
        hint="how high is the best score, what accuracy is expected at that score, and in which unit?",
        lesson="With a correlation of zero no budget helps, and a large budget grows slowly in any case.",
        tolerance=1e-3,
    ),
    Exercise(
        name="01.weights_left",
        task=(
            "Write a function weights_left(sizes, sparsity): how many weights (no biases) a network keeps, of the "
            "layer sizes (input, hidden layers, output), when that share of the nodes of every hidden layer is "
            "removed. (`labkit.sparsity.kept_counts(hidden, sparsity)` rounds as the lab does.)"
        ),
        returns="one whole number",
        truth=_weights_left,
        cases=_networks,
        mistakes=(
            Mistake(
                lambda sizes, sparsity: (1 - sparsity) * _total(sizes),
                "that removes a share of the weights. Removing nodes is not removing weights: a weight between two "
                "hidden layers needs both of its nodes",
            ),
            Mistake(
                lambda sizes, sparsity: (1 - sparsity) ** 2 * _total(sizes),
                "squaring is right between two hidden layers. The first and the last matrix lose nodes on one side "
                "only",
            ),
            Mistake(
                lambda sizes, sparsity: _total(kept_counts(sizes, sparsity)),
                "input pixels and output classes always stay; only hidden nodes go",
            ),
            Mistake(
                lambda sizes, sparsity: _total(_thin(sizes, sparsity)) + sum(_thin(sizes, sparsity)[1:]),
                "biases are counted too; the question is about weights",
            ),
            Mistake(
                lambda sizes, sparsity: _total(sizes) - _weights_left(sizes, sparsity),
                "those are removed; how many stay?",
            ),
        ),
        hint="first the sizes of the thinner network, then the products of neighbours.",
        lesson="Half of the nodes gone leaves a quarter of the weights between hidden layers.",
    ),
)
