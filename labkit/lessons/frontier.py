"""Exercises of notebook 02: sampling rate, noise and epsilon; clipping by hand; what one person changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from labkit.lessons.exercise import Case, Exercise, Mistake
from labkit.privacy.accountants import pld_epsilon, rdp_epsilon
from labkit.privacy.events import dp_sgd, parts
from labkit.privacy.per_example import clipped_sum

CLOSE = 1e-4  # the lab clips in float32, a few parts in a million below the clip norm

Accountant = Callable[..., float]


def summed(gradients: np.ndarray, clip: float) -> np.ndarray:
    """The sum of clipped gradients, by the function that trains models in this lab."""
    given, out = torch.as_tensor(gradients, dtype=torch.float32), torch.zeros(gradients.shape[1])
    clipped_sum({"g": given}, {"g": out}, clip=clip, weight=torch.ones(len(given)), fresh=True)
    return out.numpy()


def _epsilon(accountant: Accountant, rate: float, sigma: float, steps: float, delta: float) -> float:
    return accountant(parts([dp_sgd(rate, sigma, max(1, round(steps)))]), delta)


def _right(accountant: Accountant):
    return lambda examples, batch, epochs, sigma, delta: _epsilon(
        accountant, batch / examples, sigma, epochs * examples / batch, delta
    )


def _wrong(change: Callable[..., float], says: str) -> tuple[Mistake, ...]:
    """The same mistake by either accountant."""
    return tuple(Mistake(lambda *given, each=each: change(each, *given), says) for each in (pld_epsilon, rdp_epsilon))


def _gradients(generator: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    found = []
    for count, numbers, clip in ((6, 4, 1.0), (9, 3, 0.5), (5, 7, 2.5)):
        lengths = clip * generator.permutation(np.linspace(0.3, 2.4, count))
        directions = generator.normal(size=(count, numbers))
        found.append((directions * (lengths / np.linalg.norm(directions, axis=1))[:, None], clip))
    return found


def _persons(generator: np.random.Generator) -> list[Case]:
    cases = []
    for gradients, clip in _gradients(generator):
        lengths = np.linalg.norm(gradients, axis=1)
        cases += [(gradients, clip, int(lengths.argmin())), (gradients, clip, int(lengths.argmax()))]
    return cases


def _moved(gradients: np.ndarray, clip: float, person: int) -> float:
    others = np.delete(gradients, person, axis=0)
    return float(np.linalg.norm(summed(gradients, clip) - summed(others, clip)))


EXERCISES = (
    Exercise(
        name="02.epsilon",
        task=(
            "Write a function epsilon(examples, batch, epochs, sigma, delta): what DP-SGD spends with Poisson batches "
            "of that expected size and the noise multiplier sigma, by dp_accounting (an accountant of its `pld` or "
            "`rdp`, composed with a `SelfComposedDpEvent` of a `PoissonSampledDpEvent`)."
        ),
        returns="one number above 0",
        truth=_right(pld_epsilon),
        also=(_right(rdp_epsilon),),
        cases=lambda generator: [(6000, 120, 4, 0.9, 1e-5), (20_000, 500, 3, 2.0, 1e-6)],
        mistakes=(
            *_wrong(
                lambda each, examples, batch, epochs, sigma, delta: _epsilon(
                    each, 1.0, sigma, epochs * examples / batch, delta
                ),
                "that is far too much: in your account everybody takes part in every step. Each example joins a step "
                "with a probability only; which?",
            ),
            *_wrong(
                lambda each, examples, batch, epochs, sigma, delta: _epsilon(
                    each, batch / examples, sigma, epochs, delta
                ),
                "that is too little: an epoch is not one step. How many batches are drawn until everybody was drawn "
                "once on average?",
            ),
            *_wrong(
                lambda each, examples, batch, epochs, sigma, delta: _epsilon(
                    each, batch / examples, sigma, examples / batch, delta
                ),
                "that is one epoch; the training has more of them",
            ),
            *_wrong(
                lambda each, examples, batch, epochs, sigma, delta: (
                    _epsilon(each, batch / examples, sigma, 1, delta) * round(epochs * examples / batch)
                ),
                "that adds up the epsilons of single steps. It is valid and far too much: let the accountant compose "
                "the steps",
            ),
            *_wrong(
                lambda each, examples, batch, epochs, sigma, delta: _epsilon(
                    each, 1 / examples, sigma, epochs * examples / batch, delta
                ),
                "that is too little: your sampling rate is that of a batch of one",
            ),
        ),
        hint="the sampling rate is a share, the steps follow from it and the epochs, delta goes to get_epsilon.",
        lesson="Sampling, noise and the number of steps make epsilon together; one of them alone says nothing.",
        tolerance=0.02,
    ),
    Exercise(
        name="02.clip_and_add",
        task=(
            "Write a function clip_and_add(gradients, clip) that shortens each example's gradient (a row) to a length "
            "of at most clip, and returns the sum of all of them."
        ),
        returns="one number for each parameter",
        truth=summed,
        cases=_gradients,
        mistakes=(
            Mistake(
                lambda gradients, clip: gradients.sum(0) * min(1, clip / np.linalg.norm(gradients.sum(0))),
                "you clip the sum. One example could still turn it round altogether: each one's own gradient has to be "
                "shortened before they are added",
            ),
            Mistake(
                lambda gradients, clip: np.clip(gradients, -clip, clip).sum(0),
                "you cut single numbers. The length of a gradient is taken over all its numbers together, and "
                "shortening keeps its direction",
            ),
            Mistake(
                lambda gradients, clip: (gradients * clip / np.linalg.norm(gradients, axis=1, keepdims=True)).sum(0),
                "gradients that are short enough have been made longer. Clipping leaves those alone",
            ),
            Mistake(
                lambda gradients, clip: summed(gradients, clip) / len(gradients),
                "that is a mean. Its divisor would tell how many took part; DP-SGD takes the sum, and divides by a "
                "constant after the noise",
            ),
            Mistake(lambda gradients, clip: gradients.sum(0), "nothing is shortened yet"),
        ),
        hint="one length for each row; one factor for each row, never above 1; then the sum over rows.",
        lesson="No example can pull harder than clip now: this is what the noise is measured by.",
        tolerance=CLOSE,
    ),
    Exercise(
        name="02.moved",
        task=(
            "Write a function moved(gradients, clip, person): the length by which the sum of clipped gradients moves "
            "when this person's example (a row number) is taken out of the data."
        ),
        returns="one number of at least 0",
        truth=_moved,
        cases=_persons,
        mistakes=(
            Mistake(
                lambda gradients, clip, person: clip,
                "that is how much anybody can move it at most. This person may have moved it less",
            ),
            Mistake(
                lambda gradients, clip, person: 2 * clip,
                "that is the most that exchanging a person for another can do. Here somebody is taken out and nobody "
                "comes in",
            ),
            Mistake(
                lambda gradients, clip, person: np.linalg.norm(gradients[person]),
                "that is the length before clipping; the sum holds the clipped gradient",
            ),
            Mistake(
                lambda gradients, clip, person: abs(
                    np.linalg.norm(summed(gradients, clip))
                    - np.linalg.norm(summed(np.delete(gradients, person, axis=0), clip))
                ),
                "that is how much the sum's length changes. It may turn without growing: take the length of the "
                "difference",
            ),
        ),
        hint="the sum with and without the person, their difference, its length. What is left of it?",
        lesson="Whoever it is, this is at most clip: the sensitivity that sigma is a multiple of.",
        tolerance=CLOSE,
    ),
)
