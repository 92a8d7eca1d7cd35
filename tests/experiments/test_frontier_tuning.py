"""The learning rate of each arm: never at the edge of what was tried, on made-up accuracies."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from small_frontier import batch, chunks, jobs, points, results, told

from labkit.errors import LabError
from labkit.experiments.frontier import tuning
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.tuned import HIGHEST, LOWEST, STEP, Tuned, beyond, first_grid
from labkit.experiments.frontier.tuning import MOST_ROUNDS, tune
from labkit.privacy import Plan

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


PLAIN_PLAN = Plan.nonprivate("a test", examples=10, batch_size=2, steps=1)


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
    tuned, arm = Tuned([1, 2, 4]), Arm("dense", PLAIN_PLAN)
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


def hill(best_rate: float, best_clip: float):
    """Accuracy that falls on both sides of a rate and of a clip norm."""

    def surface(arm, rate):
        off = 0.0 if math.isinf(arm.plan.clip_norm) else abs(math.log(arm.plan.clip_norm / best_clip))
        return peak(best_rate)(arm, rate) - 0.02 * off

    return surface


@pytest.mark.parametrize(
    ("best", "tried"), [(1.0, [0.25, 1, 4]), (16.0, [0.25, 1, 4, 16, 64]), (0.2, [0.0625, 0.25, 1, 4])]
)
def test_a_clip_norm_is_tuned_with_every_rate_and_never_at_the_edge(monkeypatch, best, tried):
    tuned, trained = tuned_on(monkeypatch, hill(0.5, best), epsilon="2", clip_norm="tuned")
    for arm, variants in tuned.variants.items():
        assert [variant.plan.clip_norm for variant in variants] == tried
        place = variants.index(tuned.choice(arm))
        assert 0 < place < len(variants) - 1
        assert tuned.choice(arm).plan.epsilon == variants[0].plan.epsilon  # the clip norm costs nothing
        assert tuned.tried(arm) == len(tried) * 6
    assert len(set(trained)) == len(trained) == 2 * sum(map(tuned.tried, tuned.variants))


def test_a_clip_norm_at_the_edge_for_ever_is_an_error(monkeypatch):
    with pytest.raises(LabError, match="the best clip norm is still at the grid's end"):
        tuned_on(monkeypatch, hill(0.5, 1e9), epsilon="2", sparsity="0", clip_norm="tuned")


def test_plain_training_has_no_clip_norm_to_tune(monkeypatch):
    tuned, _ = tuned_on(monkeypatch, hill(0.5, 1.0), epsilon="plain", clip_norm="tuned")
    assert all(variants == [arm] for arm, variants in tuned.variants.items())


def test_the_tuned_clip_norm_is_what_is_reported_and_a_resumed_run_finds_it_again():
    some = jobs(clip_norm="tuned", sparsity="0.5", space="nodes", seeds=1)
    events = told(some)
    kept = {key: tensors for key, tensors in chunks(events).items() if key.startswith("tuning")}
    first = results(events, some)
    assert first == results(told(some, chunks=kept), some)
    chosen = {values["arm"]: values["clip_norm"] for _, values in points(events, "tuning")}
    for (*_, arm), values in first.items():
        assert values["clip_norm"] == chosen["dense" if arm == "simulated" else arm.split("-")[0]]
        assert values.get("epsilon_spent", 0) <= 2
    assert len(chosen) == 5
