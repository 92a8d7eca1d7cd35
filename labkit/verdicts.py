"""Paired comparisons of arms, judged from the store: what charts draw and claims assert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from labkit.stats import LOOKS, Verdict, judge_family, verdict
from labkit.stats.verdict import UNDECIDED

if TYPE_CHECKING:
    from labkit.runs.view import View
    from labkit.spec import Spec

Pairs = Sequence[tuple[str, str]]

PAIRS: Pairs = (("found", "random"), ("found", "dense"), ("random", "dense"))


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


def comparisons(
    view: View, pairs: Pairs | Callable[[Spec], Pairs] = PAIRS, value: str = "test_accuracy"
) -> list[Comparison]:
    """Every pair of arms at every possible grid point, as one family (privacy.md 23 to 25).

    A grid point is judged once all its planned seeds are finished, never on the way there.
    Replicates that were run under different planned numbers of seeds have been looked at on the way: then the error
    is shared by four looks. The margin is the Spec's.

    Args:
        pairs: the pairs of arms, or a function from a grid point to those that are declared for it.
        value: the field that is compared.
    """
    rows = view.results()
    cells, finished = [], []
    for point, _, statuses in view.points:
        if view.experiment.impossible(point):
            continue
        fields = view.fields(point)
        own = (row for row in rows if value in row and all(row[name] == held for name, held in fields.items()))
        here = {(row["seed"], row["arm"]): row[value] for row in own}
        for one, other in pairs(point) if callable(pairs) else pairs:
            paired = [(here.get((seed, one)), here.get((seed, other))) for seed in sorted(statuses)]
            cells.append((fields, one, other, tuple(a - b for a, b in paired if a is not None and b is not None)))
            finished.append(all(status == "finished" for status in statuses.values()))
    margin, looks = view.spec.margin, 1 if len(view.planned_seeds()) <= 1 else len(LOOKS)
    family = {str(i): cell[3] if done else () for i, (cell, done) in enumerate(zip(cells, finished, strict=True))}
    judged = judge_family(family, margin, looks)
    return [
        Comparison(*cell, judged[str(i)] if done else _early(cell[3], margin, looks, view.spec.seeds))
        for i, (cell, done) in enumerate(zip(cells, finished, strict=True))
    ]


def _early(differences: Sequence[float], margin: float, looks: int, planned: int) -> Verdict:
    """What is known before all planned seeds are finished: numbers, and no verdict (privacy.md 24)."""
    known = verdict(differences, margin, looks=looks)
    return replace(known, word=UNDECIDED, p_value=None, text=f"undecided: {known.n} of {planned} seeds are finished")


def words(fields: dict[str, Any]) -> str:
    """A grid point in words: "sparsity 0.9, budget 1,000", "epsilon plain"."""
    return ", ".join(f"{name} {_text(value)}" for name, value in fields.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:g}"
