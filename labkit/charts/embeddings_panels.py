"""Panels that share their axes: a column for each epsilon, a row for each measure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from labkit.charts.by_sparsity import fitting
from labkit.charts.embeddings_picks import losses
from labkit.charts.embeddings_rows import Configuration, Place
from labkit.charts.epsilons import few, in_words, is_number
from labkit.charts.rows import Row, summarise, values
from labkit.charts.theme import WIDTH, panel_title

MEASURED = ("mean", "low", "high")


@dataclass(frozen=True)
class Measure:
    """A value that a row of panels shows.

    Args:
        value: the field.
        title: of its axis.
        number: format of the axis.
        log: whether its axis is logarithmic; intervals that reach 0 are then not drawn.
    """

    value: str
    title: str
    number: str = ".3~f"
    log: bool = False


AUC = Measure("auc", "test AUC")
GAIN = Measure("gain", "test AUC minus DP-SGD's", "+.3~f")
SURVIVORS = Measure("survivors", "rows noised a step", "~s", log=True)
SMALLER = Measure("reduction", "gradient smaller by", "~s", log=True)


def bounded(entries: Sequence[Row], also: Sequence[float] = ()) -> tuple[alt.Scale, str]:
    """A linear scale that the means fill, and what to say where it cuts an interval.

    With two seeds a t interval is thirteen standard errors wide on either side: it would leave nothing of the means.

    Args:
        entries: with `mean`, and `low` and `high` where there is an interval.
        also: what must be inside as well.
    """
    held = [*(entry["mean"] for entry in entries), *also]
    ends = held + [entry[end] for entry in entries for end in ("low", "high") if end in entry]
    low, high = min(held, default=0.0), max(held, default=1.0)
    room = high - low
    inside = [max(min(ends, default=0.0), low - room), min(max(ends, default=1.0), high + room)]
    cut = any(not inside[0] <= end <= inside[1] for end in ends)
    return fitting(inside), "bars that end at the edge of a plot are longer than it" if cut else ""


def panels(
    rows: Sequence[Row], measures: Sequence[Measure], x: alt.X, field: str, line: str, colour: alt.Color,
    dash: alt.StrokeDash | None = None, height: int = 150,
) -> tuple[alt.ConcatChart, str]:  # fmt: skip
    """Lines of the mean over seeds with 95 % t intervals, at no more than three epsilons.

    Args:
        rows: one for each seed, in which `line` and `field` hold what is drawn.
        measures: one row of panels each.
        x, field: the channel and the field it reads.
        line: the field that tells lines apart.
        colour, dash: the channels of `line`.
        height: of each panel in px.

    Returns:
        the panels, and what to say of intervals that they cut.
    """
    shown = few((row["epsilon"] for row in rows), 3)
    width = (WIDTH - 20 - 52 * (len(shown) - 1)) // len(shown) if len(shown) > 1 else WIDTH
    drawn, said = [], ""
    for measure in measures:
        finite = [row for row in rows if math.isfinite(row.get(measure.value, math.inf)) and row["epsilon"] in shown]
        table = [_positive(entry, measure) for entry in summarise(finite, ("epsilon", field, line), measure.value)]
        scale, cut = (_log_scale(table), "") if measure.log else bounded(table)
        said = said or cut
        for epsilon in shown:
            here = sorted((entry for entry in table if entry["epsilon"] == epsilon), key=lambda entry: entry[field])
            along = x.copy()
            if measure != measures[-1]:
                along["title"] = None
            first = measure == measures[0]
            panel = _panel(here, measure, along, scale, line, colour, dash, left=epsilon == shown[0])
            panel = panel.properties(width=width, height=height)
            drawn.append(panel.properties(title=panel_title(in_words(epsilon))) if first else panel)
    return alt.concat(*drawn, columns=len(shown), spacing=14), said


def _positive(entry: Row, measure: Measure) -> Row:
    below = measure.log and entry.get("low", 1.0) <= 0
    return {name: held for name, held in entry.items() if not (below and name in ("low", "high"))}


def _log_scale(entries: Sequence[Row]) -> alt.Scale:
    numbers = [entry[end] for entry in entries for end in MEASURED if end in entry]
    held = [number for number in numbers if number > 0] or [1.0, 10.0]
    return alt.Scale(type="log", domain=[0.8 * min(held), 1.25 * max(held)], nice=False)


def _panel(
    table: Sequence[Row], measure: Measure, x: alt.X, scale: alt.Scale, line: str, colour: alt.Color,
    dash: alt.StrokeDash | None, *, left: bool,
) -> alt.LayerChart:  # fmt: skip
    title = measure.title if left else None
    ticks = log_ticks(*scale["domain"]) if measure.log else alt.Undefined
    axis = alt.Axis(format=measure.number, values=ticks, tickCount=5)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis)

    kept = [dict(entry) for entry in table if not measure.log or entry["mean"] > 0]
    base = alt.Chart(values(kept)).encode(x=x, color=colour)
    styled = {} if dash is None else {"strokeDash": dash}
    bar = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, opacity=0.55, clip=True)
    told = [f"{line}:N", alt.Tooltip("mean:Q", format=".5~g"), "low:Q", "high:Q", alt.Tooltip("n:Q", title="seeds")]
    return alt.layer(
        bar.encode(y=y("low"), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y("mean"), **styled),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=y("mean"), tooltip=told),
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten in a range, or 1, 2 and 5 times them where that is less than two powers."""
    times = (1,) if high / low >= 100 else (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [t * 10.0**i for i in powers for t in times if low <= t * 10.0**i <= high]


def lines_legend() -> alt.Legend:
    """A legend of strokes."""
    return alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=300, symbolOpacity=1, titleLimit=400)


def with_gain(rows: Sequence[Row]) -> list[Row]:
    """The rows of which DP-SGD has a pair, each with `gain`: its test AUC minus DP-SGD's of the same seed and place."""
    lost = losses(rows)
    held = [(row, lost.get((Place.of(row), Configuration.of(row)), {})) for row in rows if "auc" in row]
    return [dict(row) | {"gain": -found[row["seed"]]} for row, found in held if row["seed"] in found]


def private(rows: Sequence[Row]) -> list[Row]:
    """The rows with an epsilon."""
    return [row for row in rows if is_number(row["epsilon"])]
