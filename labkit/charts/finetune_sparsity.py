"""Accuracy against the share of weights that stay frozen, at one epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.accuracy import test_words
from labkit.charts.by_sparsity import sparsity_x
from labkit.charts.embeddings_panels import bounded
from labkit.charts.epsilons import in_words
from labkit.charts.finetune_rows import (
    ALL,
    FROZEN,
    HEAD,
    ROWS,
    Setting,
    at_middle,
    drawn_arm,
    main_setting,
    middle,
    named,
    once,
    panels_of,
)
from labkit.charts.rows import NOTHING, Row, band_words, kept, summarise, values
from labkit.charts.theme import WIDTH, arm_colour, arm_dash, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

SPARSITY = "How many weights should move?"
ACCURACY = "test accuracy"
LINES = (HEAD, "head_norm")  # they have no sparsity of this kind


def finetune_sparsity(view: View) -> alt.VConcatChart | alt.Chart:
    """Test accuracy of the methods that choose rows against sparsity, at the middle epsilon: bands.

    With nothing frozen each of them is training all weights, which stands at 0. The head alone, and head and norms, are
    lines across. More than six methods are drawn in two panels.
    """
    rows = [row for row in at_middle(view, once(view.results())) if _shown(view, Setting.of(row))]
    thin = [row for row in rows if row["arm"] in ROWS]
    if not thin:
        return waiting(SPARSITY, NOTHING)
    if len(found := {row["sparsity"] for row in thin}) < 2:
        return waiting(SPARSITY, f"one sparsity in this run, {found.pop():g}: several make a line")
    dense = [row for row in rows if row["arm"] == ALL]
    table = summarise(named([*thin, *dense]), ("sparsity", "arm"), "test_accuracy")
    table = [entry | {"kept": kept(entry["sparsity"])} for entry in table]
    across = summarise([row for row in rows if row["arm"] in LINES], ("arm",), "test_accuracy")
    scale, cut = bounded([*table, *across])
    x = sparsity_x((entry["sparsity"] for entry in table), f"{FROZEN} (of layers that may move)")
    split = panels_of((row["arm"] for row in [*thin, *dense]), (ALL, "random"))
    panels = []
    for title, methods in split.items():
        arms = in_order(map(drawn_arm, methods))
        own = [entry for entry in table if entry["arm"] in arms]
        panel = _panel(own, across, x, scale, 300 if len(split) == 1 else 210)
        panels.append(panel.properties(title=panel_title(title)) if title else panel)
    chart = alt.vconcat(*panels, spacing=14).resolve_scale(color="independent", strokeDash="independent")
    text = titled(
        SPARSITY,
        f"{in_words(middle(view))}; {band_words(named(rows), ('sparsity', 'arm'))}",
        "the head, biases and norms move with every choice of rows; diamond: all weights, nothing is frozen"
        if dense
        else "the head, biases and norms move with every choice of rows",
        "across: methods without a sparsity" if across else "",
        cut,
        test_words(rows),
    )
    return themed(chart.properties(title=text))


def _shown(view: View, own: Setting) -> bool:
    """Whether it is the method's main setting but for the sparsity."""
    return own.method not in ROWS or replace(main_setting(view, own.method), sparsity=own.sparsity) == own


def _panel(table: Sequence[Row], across: Sequence[Row], x: alt.X, scale: alt.Scale, height: int) -> alt.LayerChart:
    arms = in_order([entry["arm"] for entry in [*table, *across]])
    colour, dash = arm_colour(arms), arm_dash(arms)

    def ends(chart: alt.Chart) -> alt.Chart:
        return chart.encode(y=alt.Y("low:Q", title=ACCURACY, scale=scale), y2="high:Q")

    y = alt.Y("mean:Q", title=ACCURACY, scale=scale, axis=alt.Axis(format=".3~f"))
    told = ["arm:N", "sparsity:Q", *(alt.Tooltip(f"{end}:Q", format=".4f") for end in ("mean", "low", "high"))]
    lines = alt.Chart(values(across)).encode(color=colour)
    base = alt.Chart(values([entry for entry in table if entry["arm"] != ALL])).encode(x=x, color=colour)
    one = alt.Chart(values([entry for entry in table if entry["arm"] == ALL])).encode(x=x, color=colour)
    layers = [
        ends(lines.transform_filter("isValid(datum.low)").mark_rect(opacity=0.08, strokeWidth=0, clip=True)),
        lines.mark_rule(strokeWidth=1.6).encode(y=y, strokeDash=dash),
        ends(base.transform_filter("isValid(datum.low)").mark_area(opacity=0.14, clip=True)),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=42, opacity=1).encode(y=y, tooltip=[*told, alt.Tooltip("n:Q")]),
        ends(one.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, clip=True)),
        one.mark_point(filled=True, size=90, opacity=1, shape="diamond").encode(y=y, tooltip=told),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=height)
