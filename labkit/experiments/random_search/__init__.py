"""Notebook 01: does searching for a well-initialised sparse sub-network beat drawing one at random?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit import charts
from labkit.experiments.random_search.claims import claims, verdict_words
from labkit.experiments.random_search.limits import check, estimate, impossible
from labkit.experiments.random_search.spec import RandomSearchSpec
from labkit.runs.experiment import Experiment

if TYPE_CHECKING:
    from labkit.runs.events import Event
    from labkit.runs.experiment import Resources


def run(point: RandomSearchSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate; PyTorch is loaded here and not where a parameter is refused."""
    from labkit.experiments.random_search.run import run as events

    yield from events(point, seed, resources)


EXPERIMENT = Experiment(
    key="01",
    notebook="01_random_search",
    question="Does searching for a well-initialised sparse sub-network beat drawing one at random?",
    spec=RandomSearchSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={
        chart.__name__: chart
        for chart in (
            charts.training_curves,
            charts.accuracy_by_sparsity,
            charts.difference_by_sparsity,
            charts.verdict_table,
            charts.best_of_k,
            charts.loss_against_accuracy,
            charts.steps_to_threshold,
            charts.landscapes,
            charts.profiles,
            charts.interpolation,
            charts.path,
            charts.curvature,
        )
    },
    verdict_words=verdict_words,
    live={"series": "curve", "arms": ["found", "random", "first", "dense"]},
)

__all__ = ["EXPERIMENT", "RandomSearchSpec"]
