"""Notebook 02: what does an epsilon cost in accuracy, for whom, and does sparsity pay some of it back?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from labkit import charts
from labkit.experiments.frontier.claims import claims, verdict_words
from labkit.experiments.frontier.limits import check, costs, estimate, impossible
from labkit.experiments.frontier.released import released
from labkit.experiments.frontier.spec import FrontierSpec
from labkit.runs.experiment import Experiment, Job, Together

if TYPE_CHECKING:
    from labkit.runs.events import Event
    from labkit.runs.experiment import Resources


def run_together(jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of replicates of one epsilon; PyTorch is loaded here and not where a parameter is refused."""
    from labkit.experiments.frontier.run import run as events

    yield from events(jobs, resources)


def run(point: FrontierSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate alone."""
    for _, event in run_together([Job(point, seed)], resources):
        yield event


EXPERIMENT = Experiment(
    key="02",
    notebook="02_privacy_frontier",
    question="What does an epsilon cost in accuracy, for whom, and does sparsity pay some of it back?",
    spec=FrontierSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={
        chart.__name__: chart
        for chart in (
            charts.frontier,
            charts.by_sparsity_at_epsilon,
            charts.privacy_map,
            charts.frontier_verdicts,
            charts.tuned_and_shared,
            charts.tuning,
            charts.per_class,
            charts.total_noise,
            charts.choosing,
            charts.ledger,
            charts.audit,
            charts.private_landscapes,
        )
    },
    verdict_words=verdict_words,
    live={"series": "curve", "arms": ["dense", "random-nodes", "random-weights"]},
    totals=charts.totals,
    not_private=("not_private_clipped", "not_private_dropped", "landscape"),
    together=Together(by=lambda job: job.point.epsilon, run=run_together),
    costs=costs,
    released=released,
)

__all__ = ["EXPERIMENT", "FrontierSpec"]
