"""Every configuration in numbers: AUC, reduction, survivors, bytes; as rows of text and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.embeddings_rows import (
    BASELINE,
    Configuration,
    Place,
    factor,
    once,
    sampling_words,
    usual,
    usual_words,
    where,
)
from labkit.charts.epsilons import called, in_words, is_number, ordered
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.rows import NOTHING, Row, grouped
from labkit.charts.theme import INK, arm, themed, titled, waiting
from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View

TABLE = "Every configuration in numbers"
HEADING = ("method", "settings", "test AUC", "reduction", "survivors", "bytes")
AT = (0, 114, 288, 434, 498, 562)
MOST = 8  # configurations of a method at one epsilon; more are thinned to those that no other beats


def auc_rows(view: View) -> list[dict[str, str]]:
    """One row of text for each configuration at each place; also what the README prints.

    Fields: where, epsilon, method, settings, auc ("mean [low, high]" as far as it is known), reduction, survivors
    (rows noised in a step), bytes (written for the tables in a step), seeds.
    """
    rows = view.results()
    return [_row(own, rows) for own in _groups(rows)]


def auc_table(view: View) -> alt.LayerChart | alt.Chart:
    """Every configuration: test AUC with its interval, reduction, rows noised in a step, bytes written in a step.

    Where a method has more than eight configurations at an epsilon, those stay that no other of its own beats in both
    selection AUC and reduction.
    """
    rows = usual(view.results())
    if not rows:
        return waiting(TABLE, NOTHING)
    lines: list[Sequence[Cell | str]] = [HEADING]
    groups, left_out = _groups(rows), 0
    for epsilon in ordered(row["epsilon"] for row in rows):
        lines.append([Cell(in_words(epsilon), INK, bold=True, across=True)])
        at = [own for own in groups if own[0]["epsilon"] == epsilon]
        for name in dict.fromkeys(own[0]["arm"] for own in at):
            every = [own for own in at if own[0]["arm"] == name]
            kept = every if len(every) <= MOST else unbeaten(every)
            left_out += len(every) - len(kept)
            for i, own in enumerate(kept):
                told = _row(own, rows)
                said = Cell("" if i else arm(name).words, arm(name).colour, bold=True)
                lines.append([said, *(told[f] for f in ("settings", "auc", "reduction", "survivors", "bytes"))])
    dense = sorted({int(row["dense_bytes"]) for row in rows if "dense_bytes" in row})
    text = titled(
        TABLE,
        usual_words(view, rows),
        _intervals(groups),
        "survivors: rows that a step noises and moves; bytes: what it writes for the tables, row numbers too"
        + (f"; the tables hold {size_words(dense[-1])}" if dense else ""),
        f"left out: {left_out} that another of their method beats in selection AUC and in reduction"
        if left_out
        else "",
        sampling_words(rows),
    )
    return themed(text_table(lines, AT).properties(title=text))


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """The seeds of each configuration at each place, in order."""
    keyed = [{"key": (Place.of(row), Configuration.of(row))} | dict(row) for row in once(rows)]
    found = grouped(keyed, ("key",))
    rank = {epsilon: i for i, epsilon in enumerate(ordered(row["epsilon"] for row in keyed))}

    def order(key: tuple[Place, Configuration]) -> tuple[Any, ...]:
        place, configuration = key
        return place.order != "year", place.vocabulary, rank[place.epsilon], configuration.order

    return [found[(key,)] for key in sorted((key for (key,) in found), key=order)]


def unbeaten(groups: Sequence[Sequence[Row]]) -> list[Sequence[Row]]:
    """The configurations that no other beats or equals in one of selection AUC and reduction and beats in the other."""
    at = [(_mean(own, "selection_auc"), _mean(own, "reduction")) for own in groups]
    return [
        own
        for own, (auc, gained) in zip(groups, at, strict=True)
        if not any(a >= auc and g >= gained and (a, g) != (auc, gained) for a, g in at)
    ]


def _mean(rows: Sequence[Row], value: str) -> float:
    held = [float(row[value]) for row in rows if value in row]
    return float(np.mean(held)) if held else -np.inf


def _row(own: Sequence[Row], rows: Sequence[Row]) -> dict[str, str]:
    first, place = own[0], Place.of(own[0])
    sparse = is_number(first["epsilon"]) and first["arm"] != BASELINE
    reduction, survivors = (_mean(own, value) for value in ("reduction", "survivors"))
    written = _mean(own, "gradient_bytes")
    return {
        "where": where(place, rows),
        "epsilon": called(first["epsilon"]),
        "method": first["arm"],
        "settings": Configuration.of(first).words,
        "auc": _auc(own),
        "reduction": (factor(reduction) if survivors and np.isfinite(reduction) else "no survivor") if sparse else "",
        "survivors": f"{survivors:,.0f}" if np.isfinite(survivors) else "",
        "bytes": size_words(written) if np.isfinite(written) else "",
        "seeds": str(len(own)),
    }


def _auc(own: Sequence[Row]) -> str:
    held = [float(row["auc"]) for row in own if "auc" in row]
    if not held:
        return ""
    said = f"{np.mean(held):.4f}"
    if len(held) > 1:
        low, high = mean_interval(held)
    elif "auc_error" in own[0]:
        low, high = (held[0] + side * 1.96 * own[0]["auc_error"] for side in (-1, 1))
    else:
        return said
    return f"{said} [{low:.4f}, {high:.4f}]"


def _intervals(groups: Sequence[Sequence[Row]]) -> str:
    counts = {len(own) for own in groups}
    own = "95 % interval of this test set"
    if max(counts) == 1:
        return f"one seed; brackets: {own}"
    said = f"mean of {max(counts)} seeds; brackets: 95 % t interval over seeds"
    return said + (f"; of a single seed: {own}" if min(counts) == 1 else "")


def size_words(count: float) -> str:
    """Bytes as a reader says them: 512 B, 71 kB, 1.9 MB."""
    for factor_, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor_:
            return f"{count / factor_:.2g} {unit}" if count < 100 * factor_ else f"{count / factor_:.0f} {unit}"
    return f"{count:.0f} B"
