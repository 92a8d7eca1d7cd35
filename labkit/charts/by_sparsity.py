"""One value of each arm against sparsity: lines with bands; at few sparsities, a dot for each seed instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import altair as alt

from labkit.charts.rows import Row, kept, padded, percent, summarise, values
from labkit.charts.theme import INK, WIDTH, arm, arm_colour, arm_dash, in_order, panel_title

LABELS = "format(100 * (1 - datum.value), '.4~g') + ' %'"
FEW = 3  # sparsities up to which dots say more than lines: bands between two or three points only hide each other


def sparsity_x(sparsities: Iterable[float], what: str) -> alt.X:
    """The sparsity axis: equal steps for equal factors in what is kept, so that 90, 95 and 98 % stand apart.

    Args:
        sparsities: the values drawn, which are also the ticks.
        what: what sparsity counts, in words.
    """
    left = sorted({kept(sparsity) for sparsity in sparsities}) or [0.01, 0.1, 1.0]
    return alt.X(
        "kept:Q",
        title=f"sparsity: {what}",
        scale=alt.Scale(type="log", domain=[left[0], left[-1]], reverse=True, nice=False, padding=14),
        axis=alt.Axis(values=left, labelExpr=LABELS, labelOverlap=True, grid=False),
    )


def by_sparsity(
    rows: Sequence[Row],
    value: str,
    what: str,
    title: str,
    *,
    number: str = ".3~f",
    scale: alt.Scale | None = None,
    width: int = WIDTH,
    height: int = 300,
) -> alt.LayerChart | alt.VConcatChart:
    """A chart of one value of each arm, mean over seeds with its 95 % t interval: a band, or a bar among dots.

    Args:
        rows: one per seed, arm and sparsity; those without the value are left out.
        value: the field drawn.
        what: what sparsity counts, in words.
        title: of the value's axis, with its unit.
        number: format of the value.
        scale: of the value; None for a linear one around what is drawn, 0 to 1 when there is nothing.
    """
    rows = [row for row in rows if value in row]
    summary = [entry | {"kept": kept(entry["sparsity"])} for entry in summarise(rows, ("sparsity", "arm"), value)]
    place = in_order(entry["arm"] for entry in summary).index  # later arms are drawn over earlier ones, dashes on lines
    summary.sort(key=lambda entry: place(entry["arm"]))
    sparsities = sorted({row["sparsity"] for row in rows})
    few = 0 < len(sparsities) <= FEW
    if scale is None:
        drawn = [entry[end] for entry in summary for end in ("mean", "low", "high") if end in entry]
        scale = fitting(drawn + [row[value] for row in rows] if few else drawn)
    if not few:
        return _lines(summary, sparsity_x(sparsities, what), title, number, scale, width, height)
    panels = []
    for sparsity in sparsities:
        here, its = ([row for row in table if row["sparsity"] == sparsity] for table in (rows, summary))
        panel = _dots(here, its, value, title if sparsity == sparsities[-1] else None, number, scale, width)
        panels.append(panel.properties(title=panel_title(f"sparsity {percent(sparsity)}: {what}")))
    return alt.vconcat(*panels, spacing=12)


def fitting(numbers: Sequence[float]) -> alt.Scale:
    """A linear scale around some numbers; 0 to 1 where there is none."""
    return alt.Scale(domain=padded(numbers), nice=False, zero=False)


def _lines(
    summary: Sequence[Row], x: alt.X, title: str, number: str, scale: alt.Scale, width: int, height: int
) -> alt.LayerChart:
    arms = in_order(entry["arm"] for entry in summary)
    base = alt.Chart(values(summary), width=width, height=height).encode(x=x, color=arm_colour(arms))
    y = alt.Y("mean:Q", title=title, scale=scale, axis=alt.Axis(format=number))
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.16)
    line = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=arm_dash(arms))
    dot = base.mark_point(filled=True, size=45, opacity=1).encode(y=y, tooltip=_tooltip(number))
    return alt.layer(band.encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"), line, dot)


def _tooltip(number: str) -> list[alt.Tooltip]:
    ends = [alt.Tooltip(f"{end}:Q", format=number) for end in ("mean", "low", "high")]
    return [alt.Tooltip("arm:N"), alt.Tooltip("sparsity:Q"), *ends, alt.Tooltip("n:Q", title="seeds")]


def _dots(
    rows: Sequence[Row],
    summary: Sequence[Row],
    value: str,
    title: str | None,
    number: str,
    scale: alt.Scale,
    width: int,
) -> alt.LayerChart:
    arms = in_order(row["arm"] for row in rows)
    words = [arm(name).words for name in arms]
    y = alt.Y("words:N", title=None, sort=words, axis=alt.Axis(labelLimit=220, labelFontSize=12, labelColor=INK))
    colour = arm_colour(arms, legend=False)

    def named(entries: Sequence[Row]) -> alt.Chart:
        data = values([dict(entry) | {"words": arm(entry["arm"]).words} for entry in entries])
        return alt.Chart(data, width=width - 130, height=alt.Step(28)).encode(y=y, color=colour)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(format=number, tickCount=6))

    rule = named(summary).transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.85)
    dot = named(summary).mark_point(filled=True, size=110, opacity=1).encode(x=x("mean"), tooltip=_tooltip(number))
    seed = named(rows).mark_point(size=40, opacity=0.6, strokeWidth=1.3, fill="white")
    seed = seed.encode(x=x(value), tooltip=["arm:N", "seed:O", alt.Tooltip(f"{value}:Q", format=number)])
    return alt.layer(rule.encode(x=x("low"), x2="high:Q"), seed, dot)
