"""Earlier runs of an experiment, as the store remembers them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.errors import BadInput
from labkit.runs.naming import canonical, run_name
from widgets import words

if TYPE_CHECKING:
    from labkit.runs import Store
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec


@dataclass
class PastRun:
    """All replicates that were last worked on with one Spec.

    Attributes:
        spec: what was run, resolved.
        started: when the first of its replicates was begun, in seconds since the epoch.
        statuses: of each grid point and seed of the Spec, those included that another run had finished before.
        error: of a failed replicate, or why a grid point is impossible; empty without either.
    """

    spec: Spec
    started: float
    statuses: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def key(self) -> str:
        """What two runs with equal parameters share."""
        return identity(self.spec)

    @property
    def state(self) -> str:
        """One of "running", "failed", "finished" and "stopped", which can be resumed."""
        for word in ("running", "failed"):
            if word in self.statuses:
                return word
        return "finished" if set(self.statuses) <= {"finished", "impossible"} else "stopped"

    def row(self) -> dict[str, str]:
        """The run as a row of the `RunTable`."""
        wanted = [status for status in self.statuses if status != "impossible"]
        return {
            "key": self.key,
            "started": time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started)),
            "state": self.state,
            "done": f"{wanted.count('finished')} of {len(wanted)}",
            "parameters": words.parameters(self.spec),
            "error": self.error,
        }


def identity(spec: Spec) -> str:
    """The parameters of a Spec as one text; where it is stored does not count."""
    return canonical(spec.model_dump(mode="json", exclude={"store"}))


def past_runs(store: Store, experiment: Experiment) -> list[PastRun]:
    """The runs of an experiment in a store, newest first.

    Left out are runs of an older version, whose numbers would now be others, and runs whose parameters the present
    Spec no longer takes.
    """
    replicates = store.replicates(experiment.key)
    statuses = {(row["name"], row["seed"], row["device_kind"]): row["status"] for row in replicates}
    runs: dict[str, PastRun] = {}
    for row in replicates:
        try:
            spec = experiment.spec.of(**row["record"]["spec"] | {"store": ""})
        except BadInput:
            continue
        names = [_name(experiment, point, row) for point in spec.points()]
        if row["name"] not in names:
            continue
        run = runs.setdefault(identity(spec), PastRun(spec, row["created"]))
        run.error = run.error or row["error"]
        run.statuses = run.statuses or [
            statuses.get((name, seed, row["device_kind"]), "missing")
            for name in names
            for seed in spec.replicate_seeds()
        ]
    return sorted(runs.values(), key=lambda run: run.started, reverse=True)


def _name(experiment: Experiment, point: Spec, row: dict[str, Any]) -> str:
    record = row["record"]
    return run_name(experiment.key, experiment.version, point, record["fingerprint"], record.get("weights", ""))
