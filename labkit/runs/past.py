"""Runs that were stored by another labkit: what of today's still reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import BadInput
from labkit.runs.naming import run_name

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment


def outdated(experiment: Experiment, row: dict[str, Any]) -> str:
    """Why a notebook of today would not find a stored replicate, in words; empty where it does.

    The store keeps such a replicate, shows and exports it; a notebook computes its own numbers beside it.

    Args:
        experiment: of the row's key.
        row: of `Store.replicates`.
    """
    try:
        point = experiment.spec.of(**row["spec"] | {"store": ""})
    except BadInput as error:
        return f"no: notebook {experiment.key} has other parameters now ({error})"
    record = row["record"]
    fingerprint, weights = record.get("fingerprint", ""), record.get("weights", "")
    if row["name"] == run_name(experiment.key, experiment.version, point, fingerprint, weights):
        return ""
    return f"no: notebook {experiment.key} computes other numbers now (version {experiment.version})"
