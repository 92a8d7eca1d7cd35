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
    charts={},
    verdict_words=verdict_words,
    live={"chart": "training_curves", "series": "curve"},
)

__all__ = ["EXPERIMENT", "RandomSearchSpec"]
