"""An experiment whose runs do nothing but say one result: what is left is what a sweep itself costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labkit.runs.events import Event, Result
from labkit.runs.experiment import Estimate, Experiment
from labkit.spec import Spec, control


class EmptySpec(Spec):
    data: str = control("digits", help="loaded once and never looked at")


def run(point: Spec, seed: int, resources: Any) -> Iterator[Event]:
    """One result of ten numbers, as large as those of the lab."""
    yield Result("empty", {f"number_{n}": seed + n / 10 for n in range(10)})


EXPERIMENT = Experiment(
    key="98",
    notebook="98_empty",
    question="What does a run cost that does nothing?",
    spec=EmptySpec,
    version=1,
    run=run,
    check=lambda spec, data: None,
    impossible=lambda point: None,
    estimate=lambda spec, data, device: Estimate(0.0, 0),
    claims=lambda view: [],
    charts={},
    verdict_words=lambda view: "",
)
