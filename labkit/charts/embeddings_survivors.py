"""The rows that pass the threshold, step by step: counted, beside what the noise alone would let through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt
import numpy as np

from labkit.charts.embeddings_panels import lines_legend, log_ticks
from labkit.charts.embeddings_rows import usual_place
from labkit.charts.epsilons import in_words, is_number, ordered
from labkit.charts.rows import Row, grouped, values
from labkit.charts.theme import WIDTH, arm, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

SURVIVORS = "How many rows survive a step, and how many from noise alone"
SELECTING = ("adafest", "adafest_plus")  # the methods that look at the batch to select rows
LINES = {
    "survivors": ("noised: they passed the threshold", "#D55E00", (1, 0)),
    "expected_false": ("expected from the noise alone", "#0072B2", (6, 3)),
    "not_private_touched": ("touched by the batch (not private)", "#773300", (2, 2)),
}
MOST = 6  # panels
FEWEST = 0.5  # rows; what is less lies at the bottom


def survivors(view: View) -> alt.ConcatChart | alt.Chart:
    """Rows that each step noises, beside (D - touched) Q(threshold), what the noise alone lets through, and the rows
    that the batch touches; at most six configurations of the smallest epsilon, first seed."""
    told = [row for row in view.series("survivors") if is_number(row["epsilon"]) and row["method"] in SELECTING]
    told = usual_place(told)
    if not told:
        return waiting(SURVIVORS, "no step of DP-AdaFEST yet")
    epsilon = ordered(row["epsilon"] for row in told)[0]
    told = [row for row in told if row["epsilon"] == epsilon]
    seed = min(row["seed"] for row in told)
    groups = grouped((row for row in told if row["seed"] == seed), ("method", "configuration"))
    keys = sorted(groups, key=lambda key: -np.mean([row["survivors"] for row in groups[key]]))
    shown = keys if len(keys) <= MOST else [keys[round(i * (len(keys) - 1) / (MOST - 1))] for i in range(MOST)]
    tables = [_table(groups[key]) for key in shown]
    counts = [entry["count"] for table in tables for entry in table if entry["count"] > 0] or [1.0]
    domain = [max(FEWEST, 0.8 * min(counts)), 1.25 * max(*counts, 2 * FEWEST)]
    scale = alt.Scale(type="log", domain=domain, nice=False, clamp=True)
    panels = [
        _panel(table, scale, left=not i % 2).properties(title=panel_title(f"{arm(key[0]).words}: {key[1]}"))
        for i, (key, table) in enumerate(zip(shown, tables, strict=True))
    ]
    left_out = len(keys) - len(shown)
    text = titled(
        SURVIVORS,
        f"{in_words(epsilon)}, seed {seed}" + (f"; {left_out} more configurations are not drawn" if left_out else ""),
        "expected from the noise alone: (D - touched) Q(threshold), the rows that nobody touched times the chance "
        "that a normal number exceeds the threshold; what lies above it comes from the data; at the bottom: less than "
        f"{FEWEST:g}",
        "how many rows a batch touches is an exact statistic of it: not private, never released",
    )
    return themed(alt.concat(*panels, columns=2, spacing=16).properties(title=text))


def _table(rows: Sequence[Row]) -> list[dict]:
    """The three counts of each step; where a replicate was told twice, the last telling counts."""
    last = {row["step"]: row for row in rows}
    return [
        {"step": step, "line": words, "count": float(last[step][name])}
        for name, (words, _, _) in LINES.items()
        for step in sorted(last)
        if name in last[step]
    ]


def _panel(table: Sequence[Row], scale: alt.Scale, *, left: bool) -> alt.Chart:
    names = [words for words, _, _ in LINES.values()]
    legend = lines_legend()
    colour = alt.Scale(domain=names, range=[colour for _, colour, _ in LINES.values()])
    dashes = alt.Scale(domain=names, range=[list(dash) for _, _, dash in LINES.values()])
    axis = alt.Axis(format="~s", values=log_ticks(*scale["domain"]))
    base = alt.Chart(values([entry for entry in table if entry["count"] > 0]), width=WIDTH // 2 - 40, height=130)
    return base.mark_line(strokeWidth=2).encode(
        x=alt.X("step:Q", title="training step", scale=alt.Scale(nice=False), axis=alt.Axis(tickCount=5, grid=False)),
        y=alt.Y("count:Q", title="rows" if left else None, scale=scale, axis=axis),
        color=alt.Color("line:N", title=None, scale=colour, legend=legend),
        strokeDash=alt.StrokeDash("line:N", title=None, scale=dashes, legend=legend),
        tooltip=["line:N", "step:Q", alt.Tooltip("count:Q", format=",.0f")],
    )
