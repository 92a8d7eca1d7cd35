"""Exercises of notebook 04: the contribution map and its sensitivity, two noises from one sigma, false survivors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from labkit.embeddings.convention import deviations, inverted_share, l1_factor, l2_factor
from labkit.embeddings.survivors import expected_false
from labkit.lessons.exercise import Case, Exercise, Mistake

Examples = Sequence[Sequence[int]]


def _map(examples: Examples, rows: int, factor: Callable[[int], float], *, distinct: bool = True) -> np.ndarray:
    made = np.zeros(rows)
    for touched in examples:
        touched = sorted(set(touched)) if distinct else list(touched)
        np.add.at(made, touched, factor(len(touched)))
    return made


def _clipped(examples: Examples, rows: int, clip: float) -> np.ndarray:
    return _map(examples, rows, lambda m: l2_factor(m, clip))


def _batches(generator: np.random.Generator) -> list[Case]:
    cases = []
    for rows, clip in ((12, 1.0), (9, 2.0)):
        examples = [list(generator.choice(rows, size)) for size in (1, 3, 8, 5, 2)]
        cases.append(([*examples, [4, 4, 7]], rows, clip))
    return cases


def _whole(examples: Examples, rows: int, clip: float) -> np.ndarray:
    made = _map(examples, rows, lambda m: 1.0)
    return made * min(1, clip / np.linalg.norm(made))


def _shares(generator: np.random.Generator) -> list[Case]:
    return [(float(generator.uniform(0.6, 3)), f, c1, c2) for f, c1, c2 in ((0.1, 1.0, 2.0), (0.7, 3.0, 0.5))]


def _split(share: Callable[[float], float]):
    return lambda sigma, f, c1, c2: (sigma * c1 / np.sqrt(share(f)), sigma * c2 / np.sqrt(1 - share(f)))


EXERCISES = (
    Exercise(
        name="04.contribution_map",
        task=(
            "examples is a batch: for each example the list of rows it touches, sometimes one twice. Write a function "
            "contribution_map(examples, rows, c1): the batch's map, an array of that many rows, before any noise, with "
            "each example's own map clipped to the L2 length c1."
        ),
        returns="one number for each row",
        truth=_clipped,
        cases=_batches,
        mistakes=(
            Mistake(
                lambda examples, rows, c1: _map(examples, rows, lambda m: 1.0),
                "nothing is clipped: an example that touches many rows moves this map farther than one that touches "
                "one",
            ),
            Mistake(
                lambda examples, rows, c1: _map(examples, rows, lambda m: l1_factor(m, c1)),
                "you clip the sum of the entries (L1). That is safe too, but the signal is smaller than it need be: "
                "Gaussian noise is measured against the L2 length",
            ),
            Mistake(
                lambda examples, rows, c1: _map(examples, rows, lambda m: c1 / np.sqrt(m)),
                "maps that are short enough have been made longer. Clipping leaves those alone",
            ),
            Mistake(
                lambda examples, rows, c1: _map(examples, rows, lambda m: l2_factor(m, c1), distinct=False),
                "a row that an example touches twice counts twice. A map says whether a row is touched: 1 or 0 before "
                "clipping",
            ),
            Mistake(
                lambda examples, rows, c1: _whole(examples, rows, c1),
                "you clip the batch's map. Each example's own map has to be clipped before they are added",
            ),
        ),
        hint="an example touches m different rows: what may it add to each, so that its whole length is at most c1?",
        lesson="Take an example away, and this map moves by at most c1: its sensitivity.",
    ),
    Exercise(
        name="04.two_noises",
        task=(
            "Write a function two_noises(sigma, f, c1, c2): the standard deviations of the noise on the contribution "
            "map and on the gradient, when the selection takes the share f of 1/sigma^2 and the sensitivities are "
            "c1 and c2."
        ),
        returns="two numbers: of the map, and of the gradient",
        truth=deviations,
        cases=_shares,
        mistakes=(
            Mistake(
                _split(lambda f: 1 - f),
                "the shares are exchanged: f is the map's",
            ),
            Mistake(
                _split(inverted_share),
                "that is the other convention, where f sets the ratio of both noises. It is as private, but the map's "
                "share is then not f",
            ),
            Mistake(
                lambda sigma, f, c1, c2: (sigma * c1 / f, sigma * c2 / (1 - f)),
                "f is a share of 1/sigma^2: a square. A standard deviation goes with its root",
            ),
            Mistake(
                lambda sigma, f, c1, c2: (sigma / np.sqrt(f), sigma / np.sqrt(1 - f)),
                "those are multiples of the sensitivities. How much noise is that on each?",
            ),
            Mistake(
                lambda sigma, f, c1, c2: (sigma * c1 * np.sqrt(f), sigma * c2 * np.sqrt(1 - f)),
                "that is less noise than sigma on both, and spends more than the plan allows. A smaller share of the "
                "budget means more noise",
            ),
            Mistake(
                lambda sigma, f, c1, c2: (sigma * c1, sigma * c2),
                "both looks get all of the budget: together they would cost twice as much",
            ),
        ),
        hint="a noise over its own sensitivity is a noise multiplier. What do the inverse squares of both add up to, "
        "and how is that shared out?",
        lesson="Two Gaussian looks at one batch are one look of noise multiplier sigma.",
        parts=("the map's noise", "the gradient's noise"),
    ),
    Exercise(
        name="04.false_survivors",
        task=(
            "Write a function false_survivors(rows, touched, threshold): how many of the rows that nobody touched pass "
            "a threshold, given in standard deviations of the map's noise, on average."
        ),
        returns="one number",
        truth=expected_false,
        cases=lambda generator: [(30_000, 2500, 2.0), (1000, 40, 0.5), (500, 100, -1.0)],
        mistakes=(
            Mistake(
                lambda rows, touched, threshold: (rows - touched) * stats.norm.cdf(threshold),
                "those stay below the threshold; the question is who passes it",
            ),
            Mistake(
                lambda rows, touched, threshold: rows * stats.norm.sf(threshold),
                "that counts all rows; those that somebody touched are no false ones",
            ),
            Mistake(
                lambda rows, touched, threshold: (rows - touched) * 2 * stats.norm.sf(abs(threshold)),
                "that counts both tails. A row passes on one side only",
            ),
            Mistake(
                lambda rows, touched, threshold: (rows - touched) * stats.norm.pdf(threshold),
                "that is the height of the bell curve at the threshold, and no probability: take the area beyond it",
            ),
        ),
        hint="which rows can be false ones, and what alone lifts them over the threshold?",
        lesson="With millions of rows even a small tail is many: the threshold sets the gradient's size.",
    ),
)
