"""Notebook 00: what do the lab's controls do? A random search and private trainings small enough to run while one
reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.experiments.random_search import EXPERIMENT as SEARCH
from labkit.experiments.tour.results import charts, claims, verdict_words
from labkit.experiments.tour.spec import PRIVATE, PRIVATE_RANDOM, TourSpec
from labkit.runs.experiment import Estimate, Experiment, Resources

if TYPE_CHECKING:
    import torch

    from labkit.data import Split
    from labkit.runs.events import Event

SECONDS_PER_PLAN = 1.0  # calibration and growth of one epsilon, on one core
SPEED = 0.1  # of the device's matrix-product rate: noise and norms take their share


def run(point: TourSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate; PyTorch is loaded here and not where a parameter is refused."""
    from labkit.experiments.tour.run import run as events

    yield from events(point, seed, resources)


def check(spec: TourSpec, data: Split) -> None:
    """As for notebook 01, and every epsilon must be reachable.

    Raises:
        BadInput: as there, or an epsilon for which no noise can be found.
    """
    from labkit.experiments.tour.private import plan_of

    SEARCH.check(spec.search(), data)
    for epsilon in spec.epsilon:
        plan_of(epsilon, len(data.train), spec.search())


def impossible(point: TourSpec) -> str | None:
    """As for notebook 01."""
    return SEARCH.impossible(point.search())


def estimate(spec: TourSpec, data: Split, device: torch.device) -> Estimate:
    """As for notebook 01, once for each epsilon, and the private trainings."""
    from labkit.device import flops_rate
    from labkit.population import weights_per_member

    search = spec.search()
    known = SEARCH.estimate(search, data, device)
    weights = weights_per_member(search.parent(data).shapes())
    networks = sum(1 + (1 - point.sparsity[0]) for point in spec.points() if not impossible(point)) * spec.seeds
    private = networks * search.steps * search.batch_size * 6 * weights / (SPEED * flops_rate(device))
    plans = SECONDS_PER_PLAN * sum(not isinstance(epsilon, str) for epsilon in spec.epsilon)
    return Estimate(known.seconds * len(spec.epsilon) + private + plans, known.peak_bytes)


def costs(spec: TourSpec, data: Split) -> str:
    """What each epsilon will really cost a private training, in a line."""
    from labkit.experiments.tour.private import plan_of
    from labkit.privacy.record import in_a_line

    return in_a_line(plan_of(epsilon, len(data.train), spec.search()) for epsilon in spec.epsilon)


EXPERIMENT = Experiment(
    key="00",
    notebook="00_tour",
    question="What do the lab's controls do?",
    spec=TourSpec,
    version=2,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts=charts(SEARCH.charts),
    verdict_words=verdict_words,
    live={**SEARCH.live, "arms": [*SEARCH.live["arms"], PRIVATE, PRIVATE_RANDOM]},
    costs=costs,
)

__all__ = ["EXPERIMENT", "TourSpec"]
