"""Losses of AUC to DP-SGD paired by seed, and what selection data pick among a method's configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.charts.embeddings_rows import BASELINE, SPARSE, Configuration, Place, once
from labkit.charts.epsilons import is_number
from labkit.charts.rows import Row, grouped
from labkit.stats import LOOKS, pick

if TYPE_CHECKING:
    from labkit.runs.view import View

MARGINS = (0.005, 0.01)  # of AUC, as the paper's figure asks
Losses = dict[int, float]


def losses(rows: Iterable[Row], value: str = "auc") -> dict[tuple[Place, Configuration], Losses]:
    """DP-SGD's value minus each configuration's by seed, at every place with an epsilon; paired or not there."""
    held = [row for row in once(rows) if value in row and is_number(row["epsilon"])]
    base = {(Place.of(row), row["seed"]): row[value] for row in held if row["arm"] == BASELINE}
    found: dict[tuple[Place, Configuration], Losses] = {}
    for row in held:
        place = Place.of(row)
        if row["arm"] != BASELINE:
            lost = found.setdefault((place, Configuration.of(row)), {})
            if (place, row["seed"]) in base:
                lost[row["seed"]] = float(base[place, row["seed"]] - row[value])
    return found


def means(rows: Iterable[Row], value: str) -> dict[tuple[Place, Configuration], float]:
    """The mean over seeds of a value at every place and configuration; those that are not finite are left out."""
    table = grouped(({"key": (Place.of(row), Configuration.of(row))} | dict(row) for row in once(rows)), ("key",))
    found = {key: [float(row[value]) for row in group if value in row] for (key,), group in table.items()}
    return {key: float(np.mean(held)) for key, held in found.items() if held and np.isfinite(held).all()}


def comparable(rows: Sequence[Row], field: str) -> list[Row]:
    """The rows whose configuration was run at every value that their epsilon has of a field.

    Few settings are run at other vocabularies and orders: a pick among many here and few there would favour the many.
    """
    values: dict[Any, set[Any]] = {}
    held: dict[tuple[Any, Configuration], set[Any]] = {}
    for row in rows:
        values.setdefault(row["epsilon"], set()).add(row[field])
        held.setdefault((row["epsilon"], Configuration.of(row)), set()).add(row[field])
    return [row for row in rows if held[row["epsilon"], Configuration.of(row)] == values[row["epsilon"]]]


@dataclass(frozen=True)
class Picks:
    """What selection data pick among a method's configurations at a place.

    Args:
        best: the highest mean selection AUC; None without any.
        within: for each margin the largest reduction whose paired loss of selection AUC is below it by the one-sided
            95 % bound; None where there is none, as with fewer than two seeds.
    """

    best: Configuration | None
    within: Mapping[float, Configuration | None]


def picks(rows: Iterable[Row], methods: Sequence[str] = SPARSE) -> dict[tuple[Place, str], Picks]:
    """The picks of each method at each place with an epsilon, from the selection split alone."""
    rows = list(rows)
    lost, gained, scored = losses(rows, "selection_auc"), means(rows, "reduction"), means(rows, "selection_auc")
    found = {}
    for place in dict.fromkeys(place for place, _ in lost):
        for method in methods:
            own = sorted((c for p, c in lost if p == place and c.method == method), key=lambda c: c.order)
            if own:
                known = {c: list(lost[place, c].values()) for c in own if (place, c) in gained}
                gains = {c: gained[place, c] for c in known}
                best = max((c for c in own if (place, c) in scored), key=lambda c: scored[place, c], default=None)
                found[place, method] = Picks(best, {m: pick(known, gains, m) for m in MARGINS})
    return found


def planned(view: View) -> set[int]:
    """The seeds that this run is to have."""
    return {seed for _, _, statuses in view.points for seed in statuses}


def looks(view: View) -> int:
    """Among how many looks at the results the error is shared (privacy.md 24)."""
    return 1 if len(view.planned_seeds()) <= 1 else len(LOOKS)


def seed_counts(found: Mapping[Any, Mapping[int, float]]) -> tuple[int, int]:
    """The smallest and the largest number of paired seeds."""
    counts = [len(held) for held in found.values() if held]
    return (min(counts), max(counts)) if counts else (0, 0)
