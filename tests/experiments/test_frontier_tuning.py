"""The learning rate of each arm: never at the edge of what was tried, on made-up accuracies."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from small_frontier import batch

from labkit.errors import LabError
from labkit.experiments.frontier import tuning
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.tuning import HIGHEST, LOWEST, MOST_ROUNDS, STEP, Tuned, beyond, first_grid, tune

GRID = first_grid(6)


def tuned_on(monkeypatch, surface, **changes) -> tuple[Tuned, list[Network]]:
    """The outcome of tuning where accuracy is surface(arm, rate), and who was trained for it."""
    trained: list[Network] = []

    def train(batch, networks, what):
        trained.extend(networks)
        yield 0, batch.progress(what)
        return {"selection_accuracy": torch.tensor([surface(n.arm, n.rate) for n in networks])}

    monkeypatch.setattr(tuning, "train", train)
    steps = tune(batch(**({"rates": 6, "tuning_seeds": 2, "sparsity": "0.5", "space": "nodes"} | changes)))
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value, trained


def peak(best: float):
    """Accuracy that falls on both sides of a rate."""
    return lambda arm, rate: 0.8 - 0.05 * abs(math.log(rate / best))


def test_the_first_grid():
    assert GRID[0] == LOWEST
    assert GRID[-1] == HIGHEST
    ratios = [b / a for a, b in pairwise(GRID)]
    assert ratios == pytest.approx([(HIGHEST / LOWEST) ** 0.2] * 5, rel=0.01)


def test_beyond_by_hand():
    assert beyond([1, 2, 4], 1) == []
    assert beyond([1, 2, 4], 2) == [8, 16, 32]
    assert beyond([1, 2, 4], 0) == [0.125, 0.25, 0.5]
    assert beyond([1, 3, 4], 0) == [0.037, 0.111, 0.333]  # the spacing at that end, to three digits


def test_the_best_of_what_was_tried():
    tuned, arm = Tuned([1, 2, 4]), Arm("dense", None)
    tuned.rounds[arm] = 1
    tuned.add(arm, [2, 1, 4], [0.6, 0.5, 0.7])
    assert (tuned.best(arm), tuned.place(arm)) == (4, 2)
    tuned.add(arm, [16, 8], [0.1, 0.7])
    assert tuned.rates[arm] == [1, 2, 4, 8, 16]
    assert tuned.best(arm) == 4  # the lower one of equals
    rows = [point.values for point in tuned.points(arm)]
    assert [row["learning_rate"] for row in rows if row["chosen"]] == [4]
    assert [row["round"] for row in rows] == [0, 0, 0, 1, 1]
    assert {row["widened"] for row in rows} == {1}


def test_of_equals_one_inside_is_taken():
    """A network that nothing helps is as good at every small rate: no widening would end that."""
    tuned, arm = Tuned([1, 2, 4]), Arm("dense", None)
    tuned.add(arm, [1, 2, 4], [0.7, 0.7, 0.1])
    assert tuned.best(arm) == 2
    tuned.add(arm, [8], [0.9])
    assert tuned.best(arm) == 8


@pytest.mark.parametrize(("best", "rounds"), [(0.5, 0), (20.0, 1), (7000.0, 3), (0.02, 1)])
def test_a_best_rate_beyond_the_grid_is_followed_until_it_has_neighbours(monkeypatch, best, rounds):
    tuned, _ = tuned_on(monkeypatch, peak(best))
    for arm, rates in tuned.rates.items():
        assert 0 < tuned.place(arm) < len(rates) - 1
        assert tuned.rounds[arm] == rounds
        assert len(rates) == 6 + STEP * rounds
        assert abs(math.log(tuned.best(arm) / best)) <= 0.5 * math.log(GRID[1] / GRID[0]) * 1.01


def test_each_arm_is_widened_alone(monkeypatch):
    def surface(arm, rate):
        return peak(20.0 if arm.name == "random" else 0.5)(arm, rate)

    tuned, trained = tuned_on(monkeypatch, surface)
    assert {arm.name: rounds for arm, rounds in tuned.rounds.items()} == {
        "dense": 0, "random": 1, "small": 0, "chosen": 0, "repeats": 0
    }  # fmt: skip
    assert len(trained) == 2 * (5 * 6 + STEP)  # two seeds each
    assert len(set(trained)) == len(trained)  # nothing twice


@pytest.mark.parametrize("direction", [1, -1])
def test_a_best_rate_that_stays_at_the_edge_is_an_error(monkeypatch, direction):
    words = r"tuning dense: the best learning rate is still at the grid's end, \S+ of \S+ to \S+"
    with pytest.raises(LabError, match=words):
        tuned_on(monkeypatch, lambda arm, rate: 0.5 + direction * 0.01 * math.log10(rate), epsilon="plain", sparsity=0)


def test_no_more_rounds_than_agreed(monkeypatch):
    at_last = GRID[-1] * (GRID[-1] / GRID[-2]) ** (STEP * MOST_ROUNDS - 1)
    tuned, _ = tuned_on(monkeypatch, peak(at_last), epsilon="plain", sparsity="0")
    assert set(tuned.rounds.values()) == {MOST_ROUNDS}
