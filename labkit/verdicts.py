"""Paired comparisons of arms, judged from the store: what charts draw and claims assert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.stats import LOOKS, Verdict, judge_family

if TYPE_CHECKING:
    from labkit.runs.view import View

PAIRS = (("found", "random"), ("found", "dense"), ("random", "dense"))


@dataclass(frozen=True)
class Comparison:
    """One arm against another at one grid point.

    Args:
        fields: the grid fields of the point, each with its value.
        one, other: the arms; differences are one minus other.
        differences: paired by seed, in the order of the seeds.
        verdict: judged together with all other comparisons of the View.
    """

    fields: dict[str, Any]
    one: str
    other: str
    differences: tuple[float, ...]
    verdict: Verdict


def comparisons(view: View, pairs: Sequence[tuple[str, str]] = PAIRS, value: str = "test_accuracy") -> list[Comparison]:
    """Every pair of arms at every possible grid point, as one family (privacy.md 23 to 25).

    Replicates that were run under different planned numbers of seeds have been looked at on the way: then the error
    is shared by four looks. The margin is the Spec's.
    """
    rows = view.results()
    cells = []
    for point, _, statuses in view.points:
        if view.experiment.impossible(point):
            continue
        fields = view.fields(point)
        here = {(r["seed"], r["arm"]): r[value] for r in rows if all(r[n] == v for n, v in fields.items())}
        for one, other in pairs:
            paired = [(here.get((seed, one)), here.get((seed, other))) for seed in sorted(statuses)]
            cells.append((fields, one, other, tuple(a - b for a, b in paired if a is not None and b is not None)))
    looks = 1 if len(view.planned_seeds()) <= 1 else len(LOOKS)
    judged = judge_family({str(i): cell[3] for i, cell in enumerate(cells)}, view.spec.margin, looks)
    return [Comparison(*cell, judged[str(i)]) for i, cell in enumerate(cells)]


def words(fields: dict[str, Any]) -> str:
    """A grid point in words: "sparsity 0.9, budget 1,000"."""
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:g}" for name, value in fields.items()
    )
