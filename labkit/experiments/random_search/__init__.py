"""Notebook 01: does searching for a well-initialised sparse sub-network beat drawing one at random?"""

from labkit import charts
from labkit.experiments.base import Experiment
from labkit.experiments.random_search.claims import claims, verdict_words
from labkit.experiments.random_search.limits import check, estimate, impossible
from labkit.experiments.random_search.run import run
from labkit.experiments.random_search.spec import RandomSearchSpec

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
    live={"chart": "training_curves", "series": "curve"},
)

__all__ = ["EXPERIMENT", "RandomSearchSpec"]
