"""The experiments of the lab, by their notebook's number. A new one is a line here and a file or folder beside it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from labkit.errors import BadInput

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

# Modules, not objects: a list of names or a refused parameter must not wait for PyTorch.
MODULES = {
    "00": "labkit.experiments.tour",
    "01": "labkit.experiments.random_search",
    "02": "labkit.experiments.frontier",
    "03": "labkit.experiments.queries",
    "04": "labkit.experiments.embeddings",
    "05": "labkit.experiments.finetune",
}


def names() -> tuple[str, ...]:
    """The keys of all experiments."""
    return tuple(MODULES)


def get(key: str) -> Experiment:
    """The experiment with this key.

    Raises:
        BadInput: there is none.
    """
    if key not in MODULES:
        raise BadInput("experiment", key, "one of " + ", ".join(MODULES))
    return import_module(MODULES[key]).EXPERIMENT


def of_spec(spec: Spec) -> Experiment:
    """The experiment that a Spec belongs to, found by the Spec's class."""
    for key in MODULES:
        if get(key).spec is type(spec):
            return get(key)
    raise BadInput("spec", type(spec).__name__, "the Spec of an experiment: " + ", ".join(MODULES))
