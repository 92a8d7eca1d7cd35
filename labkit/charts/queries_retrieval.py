"""How well each arm's encoder finds the document of a real query, against epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.by_sparsity import fitting
from labkit.charts.epsilons import NO_EPSILON, Places, is_number
from labkit.charts.frontier_lines import over_epsilon
from labkit.charts.queries_rows import (
    BASELINES,
    MEASURES,
    PRIVATE,
    SPLITS,
    TRAINED,
    interval_words,
    measured,
    of_split,
    once,
    splits,
)
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import WIDTH, arm, arm_colour, in_order, ink, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

RETRIEVAL = "Finding the document of a real query"
LABEL = 62  # px beside a panel, for the names of the baselines
APART = 13  # px between two such names
Size = tuple[int, int]


def retrieval(view: View) -> alt.VConcatChart | alt.Chart:
    """Recall@10, nDCG@10 and MRR@10 of each arm against epsilon, a block for each split.

    Arms that need no epsilon are lines across: real queries, queries of the untuned model, the untrained encoder.
    Tuning without noise has no epsilon either: it stands beyond a gap.
    """
    rows = [row for row in view.results() if row["arm"] in TRAINED + BASELINES]
    if not rows:
        return waiting(RETRIEVAL, NOTHING)
    rows = once(rows)
    places = Places.of(row["epsilon"] for row in rows)
    named = splits(rows)
    blocks = [_block(of_split(rows, split), places, split if len(named) > 1 else "") for split in named]
    text = titled(
        RETRIEVAL,
        *interval_words(rows),
        "" if len(named) > 1 else SPLITS.get(named[0], ""),
        "across: real queries (not private), queries of the untuned model, the untrained encoder",
        "DP-direct and Logit-DP train the encoder itself privately"
        if {row["arm"] for row in rows} & set(PRIVATE)
        else "",
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
    )
    return themed(alt.vconcat(*blocks, spacing=20).properties(title=text))


def _block(rows: Sequence[Row], places: Places, split: str) -> alt.VConcatChart:
    arms = in_order(row["arm"] for row in rows if row["arm"] in TRAINED)
    panels = [
        against_epsilon(rows, value, title, places, arms, (WIDTH - LABEL, 130 if i else 260)).properties(
            title=panel_title(title + (f"; {SPLITS.get(split, split)}" if split and not i else ""))
        )
        for i, (value, title) in enumerate(MEASURES.items())
    ]
    return alt.vconcat(*panels, spacing=12)


def against_epsilon(
    rows: Sequence[Row],
    value: str,
    title: str,
    places: Places,
    arms: Sequence[str],
    size: Size,
    number: str = ".2~f",
    *,
    inside: bool = False,
) -> alt.LayerChart:
    """One panel: `over_epsilon` of the arms that depend on it, and the others as lines across, each named.

    Args:
        rows: each baseline once (`once`).
        value: the field that is drawn.
        title: of its axis.
        places: of all epsilons that the panels share.
        arms: those that depend on epsilon.
        size: of the plot in px; names beside it need `LABEL` more.
        number: format of the axis.
        inside: whether the names stand on the lines instead.
    """
    lines = measured([row for row in rows if row["arm"] in arms], value)
    across = measured([row for row in rows if row["arm"] in BASELINES], value, ("arm",))
    scale = fitting([entry[end] for entry in [*lines, *across] for end in ("mean", "low", "high") if end in entry])
    layers = _across(across, title, scale, size, inside) if across else []
    if arms:  # a legend without an entry has no place, and the plot with it
        beside = [name for name in arms if name not in PRIVATE]
        # As one layer: of a layered chart whose data all layers share, each layer alone has none.
        layers.append(over_epsilon(lines, places, arms, scale, *size, title, number, beside))
    if arms and sum(map(is_number, places.at)) == 1:  # a band of one place cannot be seen
        alone = [entry | {"at": places.at[entry["epsilon"]]} for entry in lines if is_number(entry["epsilon"])]
        bar = alt.Chart(values(alone)).transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2)
        y = alt.Y("low:Q", title=title, scale=scale)
        layers.append(bar.encode(x=places.x(), y=y, y2="high:Q", color=arm_colour(arms)))
    return alt.layer(*layers).properties(width=size[0], height=size[1])


def _across(summary: Sequence[Row], title: str, scale: alt.Scale, size: Size, inside: bool) -> list[alt.Chart]:
    """Layers of the baselines: a band, a rule, and a name."""
    low, high = scale["domain"]
    unit = (high - low) / size[1]
    order = sorted(summary, key=lambda entry: entry["mean"])
    names = apart([entry["mean"] for entry in order], APART * unit, low, high)
    base = alt.Chart(
        values(
            [
                dict(entry)
                | {"colour": arm(entry["arm"]).colour, "dash": list(arm(entry["arm"]).dash)}
                | {"name": name, "ink": ink(arm(entry["arm"]).colour)}
                for entry, name in zip(order, names, strict=True)
            ]
        )
    )
    fill, stroke = alt.Fill("colour:N", scale=None), alt.Stroke("colour:N", scale=None)  # not the channel with a legend
    dash = alt.StrokeDash("dash:N", scale=None)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=title, scale=scale)

    told = ["arm:N", *(alt.Tooltip(f"{end}:Q", format=".4f") for end in ("mean", "low", "high"))]
    band = base.transform_filter("isValid(datum.low)").mark_rect(opacity=0.1, strokeWidth=0)
    rule = base.mark_rule(strokeWidth=1.6)
    dx, dy = (3, -8) if inside else (5, 0)
    text = base.mark_text(align="left", dx=dx, dy=dy, fontSize=11).encode(fill=alt.Fill("ink:N", scale=None))
    return [
        band.encode(y=y("low"), y2="high:Q", fill=fill),
        rule.encode(y=y("mean"), stroke=stroke, strokeDash=dash, tooltip=[*told, "n:Q"]),
        text.encode(x=alt.value(0 if inside else size[0]), y=y("name"), text="arm:N"),
    ]


def apart(places: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Places from small to large moved up, and then down from the top, until neighbours are `least` apart."""
    moved: list[Any] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else max(place, low))
    top = high
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], top)
        top = moved[i] - least
    return moved
