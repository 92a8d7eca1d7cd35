"""Notebook 05: which weights should a private fine-tune touch, and does choosing beat a free random choice?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from labkit import charts
from labkit.charts.finetune_rows import drawn_arm
from labkit.experiments.finetune.claims import claims, verdict_words
from labkit.experiments.finetune.limits import check, costs, estimate, impossible
from labkit.experiments.finetune.released import released
from labkit.experiments.finetune.spec import ROWS_KIND, FinetuneSpec, kind_of
from labkit.runs.experiment import Experiment, Job, Together

if TYPE_CHECKING:
    from labkit.runs.events import Event
    from labkit.runs.experiment import Resources


def run_together(jobs: Sequence[Job], resources: Resources) -> Iterator[tuple[int, Event]]:
    """The events of all methods of fixed size, or of all choices of rows.

    PyTorch is loaded here and not where a parameter is refused.
    """
    from labkit.experiments.finetune.run import run as events

    yield from events(jobs, resources)


def run(point: FinetuneSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate alone."""
    for _, event in run_together([Job(point, seed)], resources):
        yield event


EXPERIMENT = Experiment(
    key="05",
    notebook="05_private_sparse_finetuning",
    question="Which weights should a private fine-tune touch, and does choosing beat a free random choice?",
    spec=FinetuneSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts={
        chart.__name__: chart
        for chart in (
            charts.finetune_ordered,
            charts.finetune_epsilons,
            charts.finetune_sparsity,
            charts.finetune_verdicts,
            charts.finetune_sparsity_verdicts,
            charts.finetune_agreement,
            charts.finetune_noise,
            charts.finetune_scopes,
            charts.finetune_landscape,
            charts.finetune_table,
            charts.ledger,
        )
    },
    verdict_words=verdict_words,
    live={
        "series": "curve",
        "arms": lambda spec: dict.fromkeys(drawn_arm(point.method[0]) for point in spec.points()),
    },
    totals=charts.totals,
    not_private=("not_private_clipped", "not_private_dropped", "not_private_overlap", "landscape"),
    together=Together(by=lambda job: kind_of(job.point) == ROWS_KIND, run=run_together),
    costs=costs,
    released=released,
)

__all__ = ["EXPERIMENT", "FinetuneSpec"]
