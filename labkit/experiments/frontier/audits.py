"""The audit of a plan: what attackers can prove about it, to stand beside what the accountant says."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.experiments.frontier.batch import Batch
from labkit.experiments.frontier.training import Told
from labkit.generators import relay
from labkit.privacy.audit.live import audit
from labkit.runs.events import Point
from labkit.streams import stream_seed


def audits(batch: Batch) -> Iterator[Told]:
    """Lower bounds on epsilon of the plan that trained the dense network, as points of the series `audit`."""
    runs, plan, train = batch.point.audit_runs, batch.plans.training, batch.data.train
    if not runs or not plan.private:
        return
    seed = stream_seed(batch.jobs[batch.lead].seed, "audit", batch.plans.epsilon)
    steps = audit(plan, train.x, train.y, runs, seed, batch.resources.device)
    found = yield from relay(steps, lambda _: (0, batch.progress("audit: shadow networks")))
    claimed = {"epsilon_claimed": found["epsilon"], "confidence": found["confidence"]}
    methods = {"game": ("lower", "runs"), "supposing_nothing": ("supposing_nothing", "runs")}
    for method, (lower, size) in (methods | {"one_run": ("one_run", "canaries")}).items():
        values = {"epsilon_lower": found[lower], "epsilon_expected": found[f"{lower}_expected"], "runs": found[size]}
        yield batch.lead, Point("audit", {"method": method, **claimed, **values})
