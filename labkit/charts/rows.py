"""From a View's rows to what a chart embeds: grouped means with intervals, and what to say about the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View
    from labkit.spec import Spec

Row = Mapping[str, Any]
NOTHING = "no finished run yet"


def values(rows: Sequence[Row]) -> alt.InlineData:
    """Rows embedded in the chart itself."""
    return alt.InlineData(values=[dict(row) for row in rows])


def grouped(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """The rows by the values of some fields, in the order in which they first appear."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return groups


def summarise(rows: Iterable[Row], by: Sequence[str], value: str) -> list[dict[str, Any]]:
    """Mean of a value within each group, its 95 % t interval over the rows (one per seed), and their number n.

    A group of one row has no interval: it lacks the fields `low` and `high`. Rows without the value are left out.
    """
    summary = []
    for key, group in grouped((row for row in rows if value in row), by).items():
        numbers = [float(row[value]) for row in group]
        entry = dict(zip(by, key, strict=True)) | {"mean": float(np.mean(numbers)), "n": len(numbers)}
        if len(numbers) > 1:
            entry["low"], entry["high"] = mean_interval(numbers)
        summary.append(entry)
    return summary


def seeds_words(rows: Iterable[Row], by: Sequence[str] = ("sparsity", "arm")) -> str:
    """How many seeds stand behind each group: "10 seeds", "3 to 10 seeds", or that there is nothing yet."""
    counts = {len({row["seed"] for row in group}) for group in grouped(rows, by).values()}
    if not counts:
        return NOTHING
    low, high = min(counts), max(counts)
    return (f"{low} to {high}" if low < high else f"{low}") + (" seeds" if high > 1 else " seed")


def band_words(rows: Iterable[Row], by: Sequence[str] = ("sparsity", "arm")) -> str:
    """`seeds_words` and, where there is more than one seed, what the band or bar is."""
    words = seeds_words(rows, by)
    return words if words in (NOTHING, "1 seed") else f"mean of {words}; band or bar: 95 % t interval over seeds"


def artifacts(view: View, key: str) -> Iterator[tuple[Spec, int, dict[str, np.ndarray]]]:
    """Every stored artifact of that name: its grid point, its seed and its arrays."""
    for point, _, status in view.points:
        for seed in sorted(status):
            try:
                arrays = view.arrays(point, seed, key)
            except KeyError:  # not computed yet, or not for this seed
                continue
            yield point, seed, arrays


def representative(view: View, key: str) -> tuple[Spec, int, dict[str, np.ndarray]] | None:
    """The stored artifact of the grid point whose sparsity is nearest 0.9: sparse, and not yet in ruins."""
    stored = artifacts(view, key)
    return min(stored, key=lambda found: abs(grid_value(found[0], "sparsity") - 0.9), default=None)


def grid_value(point: Spec, field: str) -> Any:
    """The one value that a grid field holds at a point, or a plain field's value."""
    held = getattr(point, field)
    return held[0] if isinstance(held, tuple) else held


def largest_budget(rows: Iterable[Row]) -> tuple[list[Row], str]:
    """The rows of the largest search budget, and what it is in words; every row where no budget is recorded."""
    rows = list(rows)
    budgets = sorted({row["budget"] for row in rows if "budget" in row})
    if not budgets:
        return rows, ""
    words = f"search budget {budgets[-1]:,}" + (" (the largest of the grid)" if len(budgets) > 1 else "")
    return [row for row in rows if row.get("budget", budgets[-1]) == budgets[-1]], words


def space_words(view: View) -> str:
    """What sparsity counts in this run."""
    spaces = {getattr(point, "space", "nodes") for point, _, _ in view.points}
    return "share of weights masked" if spaces == {"weights"} else "share of hidden nodes removed"


def percent(share: float) -> str:
    """A share as a reader says it: 90 %, 99.5 %."""
    return f"{100 * share:.4g} %"


def kept(sparsity: float) -> float:
    """What is left, without the last digits' noise of 1 - sparsity."""
    return round(1 - sparsity, 12)


def padded(numbers: Iterable[float], *, share: float = 0.06, empty: tuple[float, float] = (0.0, 1.0)) -> list[float]:
    """A domain that holds the numbers with some air; `empty` where there is none."""
    finite = [number for number in numbers if math.isfinite(number)]
    if not finite:
        return list(empty)
    low, high = min(finite), max(finite)
    air = share * (high - low) or 0.05 * abs(high) or 0.05
    return [low - air, high + air]
