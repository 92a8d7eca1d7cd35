"""A few public documents with the queries that each model makes up for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.epsilons import few, in_words, is_number, ordered
from labkit.charts.queries_rows import BASELINES, of_split, splits
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.rows import Row, grouped
from labkit.charts.theme import INK, arm, in_order, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

SAMPLES = "Documents, and the queries made up for them"
DOCUMENTS, EPSILONS, QUERIES = 4, 2, 2


def samples(view: View) -> alt.LayerChart | alt.Chart:
    """At most four documents, each with two queries of the untuned model, and of the tuned one at the smallest and the
    largest epsilon and without noise. Those of the first split and seed."""
    rows = view.series("samples")
    if not rows:
        return waiting(SAMPLES, "no queries are sampled yet")
    rows = of_split(rows, splits(rows)[0])
    rows = [row for row in rows if row["seed"] == min(row["seed"] for row in rows)]
    shown = few((row["epsilon"] for row in rows), EPSILONS)
    shown += [epsilon for epsilon in ordered(row["epsilon"] for row in rows) if not is_number(epsilon)][-1:]
    rows = [row for row in rows if row["arm"] in BASELINES or row["epsilon"] in shown]
    lines: list[Sequence[Cell | str]] = [("model", "query")]
    for document in _documents(rows):
        own = [row for row in rows if row["row"] == document]
        lines.append([Cell(str(own[0]["document"]), INK, bold=True, across=True)])
        for name in reversed(in_order(row["arm"] for row in own)):  # the untuned model first: what was there before
            its = [row for row in own if row["arm"] == name]
            # A baseline is told again at every epsilon: the first telling stands for all.
            for epsilon in ordered(row["epsilon"] for row in its)[: 1 if name in BASELINES else None]:
                queries = list(dict.fromkeys(str(row["query"]) for row in its if row["epsilon"] == epsilon))[:QUERIES]
                said = _name(name) if name in BASELINES else f"{_name(name)}, {in_words(epsilon)}"
                lines.append([Cell(said, arm(name).colour), "  \u00b7  ".join(query or "(empty)" for query in queries)])
    text = titled(
        SAMPLES,
        "documents are public; the queries follow from them and the model alone, so they cost no further epsilon",
        "clipped and plain: not private" if any(not is_number(epsilon) for epsilon in shown) else "",
    )
    return themed(text_table(lines, (0, 190)).properties(title=text))


def _documents(rows: Sequence[Row]) -> list[int]:
    """The documents that most arms and epsilons have queries for, the first told first."""
    told = {key[0]: {(row["arm"], row["epsilon"]) for row in group} for key, group in grouped(rows, ("row",)).items()}
    return sorted(told, key=lambda document: -len(told[document]))[:DOCUMENTS]


def _name(name: str) -> str:
    return {"untuned": "untuned model", "synthetic": "tuned"}.get(name, arm(name).words)
