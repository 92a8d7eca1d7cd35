"""Typical wrong answers, written as a learner would write them: each fails, and is told what is wrong with it."""

from __future__ import annotations

import math
import runpy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting import pld, rdp
from scipy import stats

from labkit import lessons
from labkit.stats import expected_best

SOLUTIONS = Path(__file__).parents[2] / "notebooks" / "lessons" / "solutions"
NAMES = [name for number in lessons.LESSONS for name in lessons.lesson(number)]


def solution(name: str) -> Any:
    number, short = name.split(".")
    return runpy.run_path(str(SOLUTIONS / f"{number}.py"))[short]


def rdp_epsilon(rate: float, sigma: float, steps: float, delta: float) -> float:
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(sigma))
    accountant = rdp.RdpAccountant().compose(dp_accounting.SelfComposedDpEvent(step, round(steps)))
    return accountant.get_epsilon(delta)


def normal_interval(found, random):
    d = found - random
    error = d.std(ddof=1) / len(d) ** 0.5
    return d.mean() - 1.96 * error, d.mean() + 1.96 * error


def unpaired_interval(found, random):
    error = np.sqrt(found.var(ddof=1) / len(found) + random.var(ddof=1) / len(random))
    half = stats.t.ppf(0.975, 2 * len(found) - 2) * error
    return found.mean() - random.mean() - half, found.mean() - random.mean() + half


def biased_interval(found, random):
    d = found - random
    return stats.t.interval(0.95, len(d) - 1, d.mean(), d.std() / np.sqrt(len(d)))


def never_the_same():
    own = np.random.default_rng(3)  # goes on from call to call, as an unseeded one would
    return lambda k: own.standard_normal(k).max()


def clipped_each(gradients, clip):
    return sum(g * min(1, clip / np.linalg.norm(g)) for g in gradients)


def counted_twice(examples, rows, c1):
    total = np.zeros(rows)
    for touched in examples:
        own = np.zeros(rows)
        for row in touched:
            own[row] += 1
        total += own * min(1, c1 / np.sqrt(len(touched)))
    return total


def by_l1(examples, rows, c1):
    total = np.zeros(rows)
    for touched in examples:
        for row in set(touched):
            total[row] += min(1, c1 / len(set(touched)))
    return total


def one_longer(examples, rows, c1):
    total = np.zeros(rows)
    for touched in examples:
        total[list(set(touched))] += c1 / len(set(touched)) ** 0.5
    return total


WRONG: dict[str, list[tuple[Any, str]]] = {
    "00.gain": [
        (lambda found, random, dense: found - dense, "the price of removing nodes is in it"),
        (lambda found, random, dense: random.mean(axis=1) - found, "the sign is turned round"),
        (lambda found, random, dense: found - random.max(axis=1), "no blind draw"),
        (lambda found, random, dense: [f - r[0] for f, r in zip(found, random, strict=True)], "its own luck"),
        (lambda found, random, dense: np.mean(found) - np.mean(random), "a single number"),
        (lambda found, random, dense: found - np.mean(random), "one baseline for all seeds"),
    ],
    "00.interval": [
        (normal_interval, "Student's t"),
        (unpaired_interval, "two independent groups"),
        (biased_interval, "NumPy divides by n"),
        (
            lambda found, random: stats.t.interval(0.9, len(found) - 1, *mean_and_error(found - random)),
            "5 % out on each",
        ),
        (lambda found, random: stats.t.interval(0.95, len(found) - 1, *mean_and_error(random - found)), "sign"),
    ],
    "00.nodes_left": [
        (int(128 * 0.03), "not rounded down"),
        (128 - round(128 * 0.03), "those are removed"),
        (128 * (1 - 0.97), "whole nodes"),
        ("few", "expected one whole number; yours is a text"),
    ],
    "01.best_of": [
        (lambda k: math.sqrt(2 * math.log(k)), "a bound"),
        (lambda k: stats.norm.ppf(1 - 1 / k), "one draw in k exceeds"),
        (lambda k: np.random.default_rng(0).standard_normal((20_000, k)).mean(), "the mean of all draws"),
        (never_the_same(), "two calls with the same input"),
    ],
    "01.expected_gain": [
        (lambda budget, rho, spread: spread * expected_best(budget), "can see the final accuracy"),
        (lambda budget, rho, spread: rho * expected_best(budget), "How much accuracy"),
        (lambda budget, rho, spread: rho**2 * spread * expected_best(budget), "share of variance"),
    ],
    "01.weights_left": [
        (lambda sizes, sparsity: (1 - sparsity) * sum(np.multiply(sizes[:-1], sizes[1:])), "needs both of its nodes"),
        (lambda sizes, sparsity: (1 - sparsity) ** 2 * sum(np.multiply(sizes[:-1], sizes[1:])), "on one side"),
        (
            lambda sizes, sparsity: sum(
                np.multiply(*(np.floor((1 - sparsity) * np.array(part) + 0.5) for part in (sizes[:-1], sizes[1:])))
            ),
            "input pixels and output classes always stay",
        ),
    ],
    "02.epsilon": [
        (
            lambda examples, batch, epochs, sigma, delta: rdp_epsilon(1, sigma, epochs * examples / batch, delta),
            "everybody takes part in every step",
        ),
        (
            lambda examples, batch, epochs, sigma, delta: rdp_epsilon(batch / examples, sigma, epochs, delta),
            "an epoch is not one step",
        ),
        (
            lambda examples, batch, epochs, sigma, delta: rdp_epsilon(batch / examples, sigma, examples / batch, delta),
            "that is one epoch",
        ),
    ],
    "02.clip_and_add": [
        (lambda gradients, clip: clipped_each([gradients.sum(axis=0)], clip), "you clip the sum"),
        (lambda gradients, clip: gradients.clip(-clip, clip).sum(axis=0), "you cut single numbers"),
        (lambda gradients, clip: sum(clip * g / np.linalg.norm(g) for g in gradients), "made longer"),
        (lambda gradients, clip: clipped_each(gradients, clip) / len(gradients), "a mean"),
    ],
    "02.moved": [
        (lambda gradients, clip, person: clip, "at most"),
        (lambda gradients, clip, person: 2 * clip, "exchanging a person"),
        (lambda gradients, clip, person: np.linalg.norm(gradients[person]), "before clipping"),
    ],
    "03.units": [
        (
            lambda documents, most: (len(documents), sum(min(n, most) for n in Counter(documents).values())),
            "you count p",
        ),
        (lambda documents, most: (len(set(documents)), len(documents)), "have to leave some out"),
        (lambda documents, most: (len(set(documents)), most * len(set(documents))), "`most` is a limit"),
    ],
    "03.unit_sum": [
        (lambda gradients, documents, clip: clipped_each(gradients, clip), "you clip each pair"),
        (
            lambda gradients, documents, clip: clipped_each(
                [gradients[documents == one].mean(axis=0) for one in set(documents)], clip
            ),
            "you take the mean",
        ),
        (lambda gradients, documents, clip: clipped_each([gradients.sum(axis=0)], clip), "clip each unit's own"),
    ],
    "03.measures": [
        (lambda ranks: ((ranks <= 10).mean(), np.where(ranks <= 10, 1 / np.log(1 + ranks), 0).mean()), "to base 2"),
        (lambda ranks: ((ranks <= 10).mean(), (1 / np.log2(1 + ranks)).mean()), "beyond the tenth"),
        (lambda ranks: ((ranks <= 10).mean(), (1 / np.log2(1 + ranks[ranks <= 10])).mean()), "found nothing count"),
        (lambda ranks: ((ranks <= 10).mean(), np.where(ranks <= 10, 1 / np.log2(ranks), 0).mean()), "would be 0"),
    ],
    "04.contribution_map": [
        (counted_twice, "counts twice"),
        (by_l1, "the sum of the entries (L1)"),
        (one_longer, "made longer"),
    ],
    "04.two_noises": [
        (lambda sigma, f, c1, c2: (sigma * c1 / (1 - f) ** 0.5, sigma * c2 / f**0.5), "exchanged"),
        (lambda sigma, f, c1, c2: (sigma * c1 / f, sigma * c2 / (1 - f)), "goes with its root"),
        (lambda sigma, f, c1, c2: (sigma / f**0.5, sigma / (1 - f) ** 0.5), "multiples of the sensitivities"),
        (
            lambda sigma, f, c1, c2: (
                sigma * c1 * math.hypot(1, f / (1 - f)),
                sigma * c2 * math.hypot(1, f / (1 - f)) * (1 - f) / f,
            ),
            "the other convention",
        ),
    ],
    "04.false_survivors": [
        (lambda rows, touched, threshold: (rows - touched) * stats.norm.cdf(threshold), "stay below"),
        (lambda rows, touched, threshold: rows * (1 - stats.norm.cdf(threshold)), "counts all rows"),
        (lambda rows, touched, threshold: (rows - touched) * math.erfc(abs(threshold) / 2**0.5), "both tails"),
    ],
    "05.moving_numbers": [
        (lambda layers, sparsity: sum((1 - sparsity) * r * n for r, n in layers), "Rows move as a whole"),
        (lambda layers, sparsity: sum(round(sparsity * r + 0.49) * n for r, n in layers), "stays frozen"),
        (lambda layers, sparsity: sum(math.floor((1 - sparsity) * r + 1e-6) * n for r, n in layers), "rounded down"),
        (lambda layers, sparsity: sum(math.ceil((1 - sparsity) * r) * n for r, n in layers), "in binary"),
    ],
    "05.length_change": [
        (
            lambda gradients, person: sum(
                abs(np.linalg.norm(row) - np.linalg.norm(row - own))
                for row, own in zip(gradients.sum(axis=0), gradients[person], strict=True)
            ),
            "you add the changes up",
        ),
        (lambda gradients, person: np.sqrt((gradients[person] ** 2).sum()), "turn without growing"),
        (lambda gradients, person: 1.0, "Hint"),
    ],
    "05.noise_to_signal": [
        (lambda moving, sigma, batch: moving * sigma / batch, "like the sides of a right angle"),
        (lambda moving, sigma, batch: np.sqrt(moving) * sigma, "a batch has many"),
        (lambda moving, sigma, batch: sigma / batch, "the noise on one number"),
    ],
}


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    return values.mean(), stats.sem(values)


CASES = [pytest.param(name, *case, id=f"{name}-{at}") for name, made in WRONG.items() for at, case in enumerate(made)]


def test_each_exercise_has_wrong_answers_of_its_own() -> None:
    assert list(WRONG) == NAMES
    for made in WRONG.values():
        assert len({words for _, words in made}) >= 2


@pytest.mark.parametrize(("name", "answer", "words"), CASES)
def test_a_wrong_answer_is_told_what_is_wrong(name: str, answer: Any, words: str) -> None:
    told = lessons.judge(name, answer)
    assert not told.right
    assert told.words.startswith("not yet: ")
    assert words in told.words


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name: str) -> None:
    told = lessons.judge(name, solution(name))
    assert told.right, told.words
    assert told.words.startswith("right. ")


def test_the_other_accountant_is_right_too() -> None:
    def by_rdp(examples: int, batch: int, epochs: int, sigma: float, delta: float) -> float:
        return rdp_epsilon(batch / examples, sigma, epochs * examples / batch, delta)

    assert lessons.judge("02.epsilon", by_rdp).right


def test_adding_up_the_epsilons_of_steps_is_named() -> None:
    def added(examples: int, batch: int, epochs: int, sigma: float, delta: float) -> float:
        step = dp_accounting.PoissonSampledDpEvent(batch / examples, dp_accounting.GaussianDpEvent(sigma))
        return pld.PLDAccountant().compose(step).get_epsilon(delta) * epochs * examples / batch

    assert "the accountant compose" in lessons.judge("02.epsilon", added).words


def seen(exercise: lessons.Exercise, of: Callable[..., Any]) -> Any:
    return of if exercise.takes else of()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "02.epsilon"])  # PLD is slow; each is tried above
def test_no_mistake_is_taken_for_another(name: str) -> None:
    exercise = lessons.lesson(name.split(".")[0])[name]
    for mistake in exercise.mistakes:
        assert exercise.judge(seen(exercise, mistake.of)).words == f"not yet: {mistake.says}"


@pytest.mark.parametrize("name", NAMES)
def test_no_word_gives_the_answer_away(name: str) -> None:
    exercise = lessons.lesson(name.split(".")[0])[name]
    for words in (exercise.task, exercise.hint, exercise.returns, *(mistake.says for mistake in exercise.mistakes)):
        assert "\n" not in words
        if not exercise.takes:
            assert str(exercise.truth()) not in words.replace("128", "").replace("0.97", "")
