"""Exercises of notebook 00: the neutral baseline, a paired difference and its interval, what sparsity leaves."""

from __future__ import annotations

import numpy as np
from scipy import stats

from labkit.lessons.exercise import Case, Exercise, Mistake
from labkit.sparsity import kept_counts
from labkit.stats import mean_interval, paired_interval


def _accuracies(generator: np.random.Generator) -> list[Case]:
    cases = []
    for seeds, candidates in ((5, 16), (8, 7)):
        parents = generator.normal(0.8, 0.04, (seeds, 1))
        random = parents + generator.normal(0, 0.02, (seeds, candidates))
        found = parents[:, 0] + generator.normal(0.005, 0.01, seeds)
        cases.append((found, random, parents[:, 0] + generator.normal(0.03, 0.01, seeds)))
    return cases


def _pairs(generator: np.random.Generator) -> list[Case]:
    luck = [generator.normal(0.8, 0.05, seeds) for seeds in (3, 5, 10)]
    return [(each + generator.normal(0.01, 0.01, len(each)), each) for each in luck]


def _normal(found: np.ndarray, random: np.ndarray, *, quantile: float = stats.norm.ppf(0.975), ddof: int = 1) -> Case:
    differences = found - random
    half = quantile * differences.std(ddof=ddof) / np.sqrt(len(differences))
    return differences.mean() - half, differences.mean() + half


def _spread(found: np.ndarray, random: np.ndarray) -> Case:
    half = stats.t.ppf(0.975, len(found) - 1) * (found - random).std(ddof=1)
    return (found - random).mean() - half, (found - random).mean() + half


def _unpaired(found: np.ndarray, random: np.ndarray) -> tuple[float, float]:
    interval = stats.ttest_ind(found, random).confidence_interval(0.95)
    return interval.low, interval.high


def _student(level: float, ddof: int = 1):
    def interval(found: np.ndarray, random: np.ndarray) -> Case:
        return _normal(found, random, quantile=stats.t.ppf(level, len(found) - 1), ddof=ddof)

    return interval


def _nodes_left() -> int:
    return kept_counts([128], 0.97)[0]


EXERCISES = (
    Exercise(
        name="00.gain",
        task=(
            "Write a function gain(found, random, dense) that says what the search gained, one number for each seed. "
            "Test accuracies are given: found and dense, one for each seed, and random[seed, candidate] of all "
            "sub-networks drawn blindly in that seed, of the same sparsity as the found one."
        ),
        returns="one difference for each seed",
        truth=lambda found, random, dense: found - random.mean(1),
        cases=_accuracies,
        mistakes=(
            Mistake(
                lambda found, random, dense: found - dense,
                "that compares with the dense parent, so the price of removing nodes is in it. A neutral baseline "
                "differs in nothing but the search: it has the same size",
            ),
            Mistake(
                lambda found, random, dense: random.mean(1) - found,
                "the sign is turned round: a gain is above zero where the found one is better",
            ),
            Mistake(
                lambda found, random, dense: found - random.max(1),
                "the best of many random ones is no blind draw: somebody searched for it, and by looking at the test "
                "set. What does a blind draw give on average?",
            ),
            Mistake(
                lambda found, random, dense: found - random[:, 0],
                "a single draw is a fair opponent, but its own luck comes along with it. All draws of the seed are "
                "there; use them",
            ),
            Mistake(
                lambda found, random, dense: found - random.mean(),
                "that takes one baseline for all seeds. Each seed has a parent of its own, and its found network must "
                "meet the random ones of the same parent",
            ),
            Mistake(
                lambda found, random, dense: (found - random.mean(1)).mean(),
                "that is a single number. Keep one for each seed: how much they differ tells how far to trust their "
                "mean",
            ),
        ),
        hint="same seed, same size, the only difference is the search; which arm is that, and what stands for it?",
        lesson="Same parent, same size, same training: what is left is the search.",
    ),
    Exercise(
        name="00.interval",
        task=(
            "Write a function interval(found, random) that returns low and high of the 95 % interval of the mean "
            "difference, found minus random, when both hold one accuracy for each seed and equal places are pairs."
        ),
        returns="two numbers, low and high",
        truth=lambda found, random: paired_interval(found - random),
        cases=_pairs,
        mistakes=(
            Mistake(
                _normal,
                "the interval is too narrow: 1.96 is the normal law's number, for many seeds. With so few, the spread "
                "itself is a guess, and Student's t allows for that",
            ),
            Mistake(
                _unpaired,
                "that is the interval of two independent groups. Here both of a pair share parent, data order and "
                "split; whatever a seed does to both drops out of their difference",
            ),
            Mistake(
                _spread,
                "that is how much single seeds differ. The mean of several is known better than one of them: something "
                "must depend on their number",
            ),
            Mistake(
                _student(0.975, ddof=0),
                "the spread is too small: it is taken about the seeds' own mean, which lies closer to them than the "
                "true one. (NumPy divides by n unless told otherwise.)",
            ),
            Mistake(
                _student(0.95),
                "that leaves 5 % out on each side. A 95 % interval leaves out 5 % altogether",
            ),
            Mistake(
                lambda found, random: paired_interval(found - random)[::-1],
                "the order is turned round: low comes first",
            ),
            Mistake(
                lambda found, random: paired_interval(random - found),
                "the sign is turned round: it is found minus random",
            ),
            Mistake(
                lambda found, random: mean_interval(found),
                "that is the interval of one arm alone; the question is about the difference",
            ),
        ),
        hint="differences first, then their mean, its standard error, and Student's t with its degrees of freedom.",
        lesson="Pairs cancel what a seed does to both arms; Student's t pays for having few seeds.",
        parts=("low", "high"),
    ),
    Exercise(
        name="00.nodes_left",
        task=(
            "How many of the 128 nodes of a hidden layer stay at sparsity 0.97? Set nodes_left to that number, as the "
            "lab rounds it."
        ),
        returns="one whole number",
        truth=_nodes_left,
        mistakes=(
            Mistake(lambda: 128 - _nodes_left(), "those are removed. Sparsity is the share that goes"),
            Mistake(
                lambda: 128 * 0.97, "those are removed, and a layer has whole nodes. Sparsity is the share that goes"
            ),
            Mistake(lambda: 128 * (1 - 0.97), "a layer has whole nodes: which whole number is nearest?"),
            Mistake(lambda: _nodes_left() - 1, "nodes are not rounded down, but to the nearest whole number"),
            Mistake(lambda: 1 - 0.97, "that is the share that stays; how many nodes is it?"),
        ),
        hint="which share stays, and of how many?",
        lesson="A sparse network is a narrower one: this is how narrow.",
    ),
)
