"""Notebook 03: can private synthetic queries train a retriever better than private training of the retriever?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from labkit import charts
from labkit.experiments.queries.claims import claims, verdict_words
from labkit.experiments.queries.limits import check, costs, estimate, impossible
from labkit.experiments.queries.released import released
from labkit.experiments.queries.spec import QueriesSpec
from labkit.runs.experiment import Experiment, Job, Together

if TYPE_CHECKING:
    from labkit.runs.events import Event
    from labkit.runs.experiment import Resources


def run_together(jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of all epsilons of one seed and split; PyTorch is loaded here and not where a parameter is refused."""
    from labkit.experiments.queries.run import run as events

    yield from events(jobs, resources)


def run(point: QueriesSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate alone."""
    for _, event in run_together([Job(point, seed)], resources):
        yield event


EXPERIMENT = Experiment(
    key="03",
    notebook="03_private_queries",
    question="Can private synthetic queries train a retriever better than private training of the retriever?",
    spec=QueriesSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={
        chart.__name__: chart
        for chart in (
            charts.retrieval,
            charts.retrieval_lay,
            charts.retrieval_table,
            charts.retrieval_verdicts,
            charts.quality,
            charts.samples,
            charts.exposure,
            charts.ledger,
        )
    },
    verdict_words=verdict_words,
    live={
        "series": "curve",
        "y": "selection_loss",
        "y_title": "loss on the selection split",
        "table": {"series": "samples", "columns": ["epsilon", "arm", "document", "query"], "rows": 8},
    },
    totals=charts.totals,
    not_private=(
        "not_private_clipped",
        "not_private_dropped",
        "not_private_copies",
        "not_private_copies_anywhere",
    ),
    together=Together(by=lambda job: (job.seed, job.point.split_by), run=run_together),
    costs=costs,
    released=released,
)

__all__ = ["EXPERIMENT", "QueriesSpec"]
