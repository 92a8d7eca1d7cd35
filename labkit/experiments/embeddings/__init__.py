"""Notebook 04: how much of an embedding gradient must be noised at all?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from labkit import charts
from labkit.experiments.embeddings.claims import claims, verdict_words
from labkit.experiments.embeddings.limits import check, costs, estimate, impossible
from labkit.experiments.embeddings.spec import EmbeddingsSpec, curve_arms
from labkit.runs.experiment import Experiment, Job, Together

if TYPE_CHECKING:
    from labkit.runs.events import Event
    from labkit.runs.experiment import Resources


def run_together(jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of all trainings of one seed; PyTorch is loaded here and not where a parameter is refused."""
    from labkit.experiments.embeddings.run import run as events

    yield from events(jobs, resources)


def run(point: EmbeddingsSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate alone."""
    for _, event in run_together([Job(point, seed)], resources):
        yield event


EXPERIMENT = Experiment(
    key="04",
    notebook="04_sparse_embeddings",
    question="How much of an embedding gradient must be noised at all?",
    spec=EmbeddingsSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={
        chart.__name__: chart
        for chart in (
            charts.reduction,
            charts.noninferior,
            charts.auc_table,
            charts.embeddings_verdicts,
            charts.survivors,
            charts.fractions,
            charts.map_norms,
            charts.stream,
            charts.vocabulary,
            charts.leaks,
            charts.ledger,
        )
    },
    verdict_words=verdict_words,
    live={
        "series": "curve",
        "y": "selection_auc",
        "y_title": "AUC on the selection split",
        "arms": curve_arms,
    },
    totals=charts.totals,
    not_private=("not_private_clipped", "not_private_dropped", "not_private_touched"),
    together=Together(by=lambda job: job.seed, run=run_together),
    costs=costs,
)

__all__ = ["EXPERIMENT", "EmbeddingsSpec"]
