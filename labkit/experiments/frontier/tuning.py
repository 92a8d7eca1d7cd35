"""The learning rate of each arm: chosen on the selection split, on other seeds than the reported ones."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch

from labkit.errors import LabError
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.batch import Batch, digest
from labkit.experiments.frontier.spec import DENSE, SHARED, SIMULATED
from labkit.experiments.frontier.training import train
from labkit.runs.events import Chunk, Event, Point
from labkit.streams import stream_seed

LOWEST, HIGHEST = 0.06, 8.0  # ends of the first grid
STEP = 3  # values that a widening adds at an end
MOST_ROUNDS = 6  # of widening: 18 values beyond an end


class Tuned:
    """The learning rates tried and chosen.

    Args:
        rates, accuracy: for each arm the rates tried, ascending, and the mean selection accuracy of each.
        rounds: how often each arm's grid was widened.
        first: the rates that every arm was tried with.
    """

    def __init__(self, first: Sequence[float]) -> None:
        self.first = tuple(first)
        self.rates: dict[Arm, list[float]] = {}
        self.accuracy: dict[Arm, list[float]] = {}
        self.rounds: dict[Arm, int] = {}

    def best(self, arm: Arm) -> float:
        """The rate with the highest accuracy, of equals the lowest that is not at an end."""
        return self.rates[arm][self.place(arm)]

    def place(self, arm: Arm) -> int:
        """Where the best rate stands among those tried, inside of the grid if it shares its rank with one there: below
        some rate nothing moves and all rates are equal, however far one looks."""
        best = np.flatnonzero(np.equal(self.accuracy[arm], max(self.accuracy[arm])))
        inside = best[(best > 0) & (best < len(self.accuracy[arm]) - 1)]
        return int((inside if len(inside) else best)[0])

    def add(self, arm: Arm, rates: Sequence[float], accuracy: Sequence[float]) -> None:
        """Rates tried anew."""
        pairs = sorted([*zip(self.rates.get(arm, []), self.accuracy.get(arm, []), strict=True),
                        *zip(rates, accuracy, strict=True)])  # fmt: skip
        self.rates[arm], self.accuracy[arm] = [list(part) for part in zip(*pairs, strict=True)]

    def points(self, arm: Arm) -> list[Point]:
        """One row for each rate tried."""
        return [
            Point(
                "tuning",
                {
                    "arm": arm.name, "learning_rate": rate, "selection_accuracy": accuracy,
                    "chosen": i == self.place(arm), "round": int(rate not in self.first), "widened": self.rounds[arm],
                    "tuned_sparsity": arm.sparsity, "tuned_space": arm.space or "none",
                },
            )
            for i, (rate, accuracy) in enumerate(zip(self.rates[arm], self.accuracy[arm], strict=True))
        ]  # fmt: skip


def first_grid(rates: int) -> list[float]:
    """Evenly spaced on a log scale, rounded to three digits that are read aloud."""
    return [float(f"{rate:.3g}") for rate in np.geomspace(LOWEST, HIGHEST, rates)]


def beyond(rates: Sequence[float], place: int) -> list[float]:
    """Rates to try next: none where the best has neighbours on both sides, else the next ones beyond its end."""
    if 0 < place < len(rates) - 1:
        return []
    ratio = rates[1] / rates[0] if place == 0 else rates[-1] / rates[-2]
    end, direction = (rates[0], -1) if place == 0 else (rates[-1], 1)
    return sorted(float(f"{end * ratio ** (direction * (i + 1)):.3g}") for i in range(STEP))


def tuning_seeds(batch: Batch) -> list[int]:
    """Seeds of no reported replicate: streams of their own, far above what a Spec may name."""
    return [stream_seed(2**40 + i, "tuning") for i in range(batch.point.tuning_seeds)]


def tuned_arms(batch: Batch) -> list[Arm]:
    """Every arm that needs a learning rate of its own; the dense one alone where all share its rate."""
    shared = batch.point.learning_rate == SHARED
    every = (arm for job in batch.jobs for arm in batch.arms(job) if arm.kind == DENSE or not shared)
    return list(dict.fromkeys(arm.tuned_as() for arm in every if arm.kind != SIMULATED))


def tune(batch: Batch) -> Generator[tuple[int, Event], None, Tuned]:
    """Find every arm's learning rate, yielding events; from a stored chunk where a resumed run has one."""
    arms = tuned_arms(batch)
    key = f"tuning-{digest(arms, tuning_seeds(batch), batch.point.rates)}"
    first = first_grid(batch.point.rates)
    tuned = Tuned(first)
    if key in batch.resources.chunks:
        held = batch.resources.chunks[key]
        for i, arm in enumerate(arms):
            own = held["arm"] == i
            tuned.add(arm, held["rate"][own].tolist(), held["accuracy"][own].tolist())
            tuned.rounds[arm] = int(held["rounds"][i])
        return tuned
    waiting = dict.fromkeys(arms, first)
    tuned.rounds = dict.fromkeys(arms, 0)
    while waiting:
        yield from _round(batch, tuned, waiting)
        waiting = {arm: more for arm in waiting if (more := beyond(tuned.rates[arm], tuned.place(arm)))}
        for arm in waiting:
            tuned.rounds[arm] += 1
            if tuned.rounds[arm] > MOST_ROUNDS:
                best = f"{tuned.best(arm):g} of {tuned.rates[arm][0]:g} to {tuned.rates[arm][-1]:g}"
                raise LabError(f"tuning {arm.name}: the best learning rate is still at the grid's end, {best}")
    yield 0, Chunk(key, _table(arms, tuned))
    return tuned


def _round(batch: Batch, tuned: Tuned, waiting: dict[Arm, list[float]]) -> Generator[tuple[int, Event], None, None]:
    seeds = tuning_seeds(batch)
    networks = [
        Network(arm, seed, rate, purpose="tuning") for arm, rates in waiting.items() for rate in rates for seed in seeds
    ]
    reached = yield from train(batch, networks, "tuning learning rates")
    accuracy = reached["selection_accuracy"].double().view(-1, len(seeds)).mean(1).tolist()
    for arm, rates in waiting.items():
        tuned.add(arm, rates, accuracy[: len(rates)])
        del accuracy[: len(rates)]


def tuned_networks(batch: Batch, tuned: Tuned) -> list[Network]:
    """Every network that the tuning trained."""
    return [
        Network(arm, seed, rate, purpose="tuning")
        for arm, rates in tuned.rates.items()
        for rate in rates
        for seed in tuning_seeds(batch)
    ]


def _table(arms: Sequence[Arm], tuned: Tuned) -> dict[str, torch.Tensor]:
    rows = [
        (i, rate, accuracy)
        for i, arm in enumerate(arms)
        for rate, accuracy in zip(tuned.rates[arm], tuned.accuracy[arm], strict=True)
    ]
    number, rate, accuracy = zip(*rows, strict=True)
    return {
        "arm": torch.tensor(number),
        "rate": torch.tensor(rate, dtype=torch.float64),
        "accuracy": torch.tensor(accuracy, dtype=torch.float64),
        "rounds": torch.tensor([tuned.rounds[arm] for arm in arms]),
    }
