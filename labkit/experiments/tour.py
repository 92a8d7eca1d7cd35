"""Notebook 00: what do the lab's controls do? A random search small enough to run while one reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.experiments.random_search import EXPERIMENT as SEARCH
from labkit.experiments.random_search import RandomSearchSpec
from labkit.experiments.random_search.claims import invariants, is_preset, verdict_words
from labkit.runs.events import Event
from labkit.runs.experiment import Claim, Estimate, Experiment, Resources
from labkit.spec import Spec, control

if TYPE_CHECKING:
    import torch

    from labkit.data import Split
    from labkit.runs.view import View

SETTINGS = {"width": 128, "steps": 80, "evaluations": 8, "landscape_size": 0}


class TourSpec(Spec):
    """What do the three controls do?"""

    sparsity: tuple[float, ...] = control("0.5,0.9", "0.5,0.8,0.9,0.95", **RandomSearchSpec.described("sparsity"))
    budget: tuple[int, ...] = control("16", "64", **RandomSearchSpec.described("budget"))

    @property
    def margin(self) -> float:
        """Differences in accuracy below this are called none."""
        return self.search().margin

    def search(self) -> RandomSearchSpec:
        """The same question with everything else set to small values."""
        common = {name: getattr(self, name) for name in type(self).controls()}
        return RandomSearchSpec.of(**(common | SETTINGS))


def run(point: TourSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate: those of a small random search."""
    yield from SEARCH.run(point.search(), seed, resources)


def check(spec: TourSpec, data: Split) -> None:
    """As for notebook 01."""
    SEARCH.check(spec.search(), data)


def impossible(point: TourSpec) -> str | None:
    """As for notebook 01."""
    return SEARCH.impossible(point.search())


def estimate(spec: TourSpec, data: Split, device: torch.device) -> Estimate:
    """As for notebook 01."""
    return SEARCH.estimate(spec.search(), data, device)


def claims(view: View) -> list[Claim]:
    """What must hold whatever the controls say, and one band for the preset on its own data."""
    made = invariants(view)
    if is_preset(view):
        dense = [row["test_accuracy"] for row in view.results() if row["arm"] == "dense"]
        low, high = 0.72, 0.87
        made.append(
            Claim(
                f"a dense network learns these images: test accuracy in [{low}, {high}]",
                low <= min(dense) and max(dense) <= high,
                f"from {min(dense):.3f} to {max(dense):.3f}",
            )
        )
    return made


EXPERIMENT = Experiment(
    key="00",
    notebook="00_tour",
    question="What do the lab's controls do?",
    spec=TourSpec,
    version=1,
    run=run,
    check=check,
    impossible=impossible,
    estimate=estimate,
    claims=claims,
    charts=SEARCH.charts,
    verdict_words=verdict_words,
    live=SEARCH.live,
)
