"""Accuracy against epsilon, and at equal epsilon against sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.accuracy import test_words
from labkit.charts.by_sparsity import fitting, sparsity_x
from labkit.charts.epsilons import NO_EPSILON, Places, called, few, in_words, is_number, ordered
from labkit.charts.frontier_rows import NOT_CHARGED, REMOVED, drawn_arm, once, removed, spaces, sparse, usual
from labkit.charts.rows import NOTHING, Row, band_words, kept, summarise, values
from labkit.charts.theme import INK, WIDTH, arm_colour, arm_dash, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

ARMS = ("dense", "random", "small")
ACCURACY = "test accuracy"
HALF = WIDTH // 2 - 34
FRONTIER, AT_EPSILON = "What an epsilon costs", "At equal epsilon: does a thinner network lose less?"
FEW = 2  # sparsities up to which a dot for each seed says more than a line


def frontier(view: View) -> alt.LayerChart | alt.ConcatChart | alt.Chart:
    """Test accuracy of dense, randomly masked and equally small networks against epsilon; a panel per sparsity.

    Bands are 95 % t intervals over seeds. Clipped and plain training have no epsilon: they stand beyond a gap.
    """
    rows = [row for row in view.results() if row["arm"] in ARMS]
    if not rows:
        return waiting(FRONTIER, NOTHING)
    place = usual(rows)
    space = place[1] if place else spaces(rows)[0]
    rows = once(row for row in rows if row["arm"] == "dense" or row["space"] == space)
    dense = [row for row in rows if row["arm"] == "dense"]
    panels = {s: dense + [row for row in rows if row["sparsity"] == s and row["arm"] != "dense"] for s in sparse(rows)}
    panels = {s: found for s, found in panels.items() if len(found) > len(dense)} or {0.0: dense}
    tables = {s: summarise(map(_named, found), ("epsilon", "arm"), "test_accuracy") for s, found in panels.items()}
    entries = [entry for table in tables.values() for entry in table]
    scale = fitting([entry[end] for entry in entries for end in ("mean", "low", "high") if end in entry])
    places, arms = Places.of(row["epsilon"] for row in rows), in_order(entry["arm"] for entry in entries)
    size = (WIDTH, 320) if len(tables) == 1 else (HALF, 210)
    drawn = [
        over_epsilon(table, places, arms, scale, *size).properties(title=panel_title(removed(s, space)) if s else "")
        for s, table in tables.items()
    ]
    text = titled(
        FRONTIER,
        band_words(map(_named, rows), ("epsilon", "sparsity", "arm")),
        test_words(rows),
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
        NOT_CHARGED if getattr(view.spec, "learning_rate", "") == "tuned" else "",
    )
    return themed(alt.concat(*drawn, columns=2, spacing=18).properties(title=text))


def over_epsilon(
    summary: Sequence[Row],
    places: Places,
    arms: Sequence[str],
    scale: alt.Scale,
    width: int,
    height: int,
    title: str = ACCURACY,
    number: str = ".3~f",
    beside: Sequence[str] = (),
    *,
    alone: bool = False,
) -> alt.LayerChart:
    """One panel: a line with its band for each arm where there is an epsilon, a dot with its bar at the two words.

    Args:
        summary: entries of `rows.summarise` by epsilon and arm.
        places: of all epsilons that the panels share.
        arms: all that the panels share, so that every one keeps its place beside a word.
        scale: of the value.
        width, height: of the panel.
        title: of the value's axis.
        number: format of the value.
        beside: the arms that stand side by side at a word; all if empty.
        alone: whether the arms also stand side by side at an epsilon that is the only number: lines have no length
            there.
    """
    apart = alone and sum(map(is_number, places.at)) == 1
    beside = beside or arms
    aside = {name: (i - (len(beside) - 1) / 2) * 0.16 * places.step for i, name in enumerate(beside)}

    def aside_at(entry: Row) -> float:
        if is_number(entry["epsilon"]):
            return 0.6 * aside[entry["arm"]] if apart else 0.0  # the axis begins a little left of its first number
        return aside[entry["arm"]]

    table = [
        dict(entry)
        | {
            "at": places.at[entry["epsilon"]] + aside_at(entry),
            "epsilon": called(entry["epsilon"]),
            "word": apart or not is_number(entry["epsilon"]),
        }
        for entry in sorted(summary, key=lambda entry: places.at[entry["epsilon"]])
    ]
    base = alt.Chart(values(table)).encode(x=places.x(), color=arm_colour(arms))
    y = alt.Y("mean:Q", title=title, scale=scale, axis=alt.Axis(format=number))
    ends = {"y": alt.Y("low:Q", title=title, scale=scale), "y2": "high:Q"}
    band = base.transform_filter("!datum.word && isValid(datum.low)").mark_area(opacity=0.15, clip=True)
    line = base.transform_filter("!datum.word").mark_line(strokeWidth=2).encode(y=y, strokeDash=arm_dash(arms))
    bar = base.transform_filter("datum.word && isValid(datum.low)").mark_rule(strokeWidth=2, clip=True)
    told = [alt.Tooltip(f"{end}:Q", format=".4f") for end in ("mean", "low", "high")]
    dot = base.mark_point(filled=True, size=42, opacity=1).encode(
        y=y, tooltip=["arm:N", "epsilon:N", *told, alt.Tooltip("n:Q", title="seeds")]
    )
    layers = [*places.words_zone(), band.encode(**ends), line, bar.encode(**ends), dot]
    return alt.layer(*layers).properties(width=width, height=height)


def by_sparsity_at_epsilon(view: View) -> alt.ConcatChart | alt.VConcatChart | alt.Chart:
    """Test accuracy against sparsity at a few epsilons: random masks over nodes and over weights, equally small
    networks, and the dense network as a line across. At few sparsities, a dot for each seed instead."""
    rows = [row for row in view.results() if row["arm"] in ARMS and row["sparsity"] > 0]
    if not rows:
        return waiting(AT_EPSILON, NOTHING)
    plain = [word for word in ("plain", "clipped") if any(row["epsilon"] == word for row in rows)][:1]
    epsilons = few((row["epsilon"] for row in rows), 3) + plain
    rows = [row for row in rows if row["epsilon"] in epsilons]
    thin = len(sparse(rows)) > FEW
    chart = _lines(rows, epsilons) if thin else _dots(rows, ordered(row["epsilon"] for row in rows))
    said = "" if thin else "small circles: the seeds"
    text = titled(AT_EPSILON, band_words(once(rows), ("epsilon", "sparsity", "space", "arm")), said, test_words(rows))
    return themed(chart.properties(title=text))


def _named(row: Row) -> Row:
    return dict(row) | {"arm": drawn_arm(row)}


def _lines(rows: Sequence[Row], epsilons: Sequence[object]) -> alt.ConcatChart:
    """A panel for each epsilon (down) and space (across), all on one scale."""
    across = spaces(rows)
    thin = [_named(row) for row in rows if row["arm"] != "dense"]
    by = ("epsilon", "space", "sparsity", "arm")
    summary = [entry | {"kept": kept(entry["sparsity"])} for entry in summarise(thin, by, "test_accuracy")]
    dense = summarise(once(row for row in rows if row["arm"] == "dense"), ("epsilon", "arm"), "test_accuracy")
    scale = fitting([e[end] for e in [*summary, *dense] for end in ("mean", "low", "high") if end in e])
    arms = in_order(e["arm"] for e in [*dense, *summary])
    panels = []
    for epsilon in epsilons:
        for space in across:
            here = [e for e in summary if e["epsilon"] == epsilon and e["space"] == space]
            line = [e for e in dense if e["epsilon"] == epsilon]
            x = sparsity_x((row["sparsity"] for row in thin if row["space"] == space), f"share of {REMOVED[space]}")
            if epsilon != epsilons[-1]:  # once below each column is enough
                x["title"] = None
            panel = _lines_panel(here, line, x, scale, arms)
            panels.append(panel.properties(title=panel_title(f"{in_words(epsilon)}, masks over {space}")))
    return alt.concat(*panels, columns=2, spacing=16)


def _lines_panel(
    summary: Sequence[Row], dense: Sequence[Row], x: alt.X, scale: alt.Scale, arms: Sequence[str]
) -> alt.LayerChart:
    def ends(chart: alt.Chart) -> alt.Chart:
        return chart.encode(y=alt.Y("low:Q", title=ACCURACY, scale=scale), y2="high:Q")

    y = alt.Y("mean:Q", title=ACCURACY, scale=scale, axis=alt.Axis(format=".3~f"))
    colour, dash = arm_colour(arms), arm_dash(arms)
    across = alt.Chart(values(dense)).encode(color=colour)
    base = alt.Chart(values(summary)).encode(x=x, color=colour)
    layers = [
        ends(across.transform_filter("isValid(datum.low)").mark_rect(opacity=0.13, strokeWidth=0)),
        across.mark_rule(strokeWidth=2).encode(y=y, strokeDash=dash),
        ends(base.transform_filter("isValid(datum.low)").mark_area(opacity=0.15)),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=42, opacity=1).encode(
            y=y, tooltip=["arm:N", "sparsity:Q", alt.Tooltip("mean:Q", format=".4f"), alt.Tooltip("n:Q", title="seeds")]
        ),
    ]
    return alt.layer(*layers).properties(width=HALF, height=150)


def _dots(rows: Sequence[Row], epsilons: Sequence[object]) -> alt.VConcatChart:
    """A panel for each sparsity and space; in it a row for each epsilon, in which the arms stand under each other."""
    named = [_named(row) | {"where": called(row["epsilon"])} for row in rows]
    scale, arms = fitting([row["test_accuracy"] for row in rows]), in_order(row["arm"] for row in named)
    y = alt.Y(
        "where:N", title="epsilon", sort=[called(epsilon) for epsilon in epsilons],
        axis=alt.Axis(labelFontSize=12, labelColor=INK, titleAngle=0, titleAlign="right", titleY=-6, titleX=-6),
    )  # fmt: skip
    panels = []
    for space in spaces(rows):
        for sparsity in sparse(row for row in rows if row["space"] == space):
            here = [row for row in named if row["sparsity"] == sparsity and row["space"] == space]
            names = in_order(row["arm"] for row in here)
            offset = alt.YOffset("arm:N", sort=names, scale=alt.Scale(paddingInner=0.35))
            summary = summarise(here, ("where", "arm"), "test_accuracy")

            def drawn(table: Sequence[Row], offset: alt.YOffset = offset) -> alt.Chart:
                return alt.Chart(values(table)).encode(y=y, yOffset=offset, color=arm_colour(arms))

            def x(field: str) -> alt.X:
                return alt.X(f"{field}:Q", title=ACCURACY, scale=scale, axis=alt.Axis(format=".3~f", tickCount=6))

            rule = drawn(summary).transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.85)
            mean = drawn(summary).mark_point(filled=True, size=85, opacity=1)
            told = ["arm:N", alt.Tooltip("mean:Q", format=".4f"), alt.Tooltip("n:Q", title="seeds")]
            seed = drawn(here).mark_point(size=30, opacity=0.6, strokeWidth=1.2, fill="white")
            layers = [
                rule.encode(x=x("low"), x2="high:Q"),
                seed.encode(x=x("test_accuracy"), tooltip=["arm:N", "seed:O", "test_accuracy:Q"]),
                mean.encode(x=x("mean"), tooltip=told),
            ]
            panel = alt.layer(*layers).properties(width=WIDTH - 40, height=alt.Step(15))
            panels.append(panel.properties(title=panel_title(removed(sparsity, space))))
    return alt.vconcat(*panels, spacing=16)
