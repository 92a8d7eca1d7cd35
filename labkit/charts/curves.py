"""How networks learn: curves, and the steps they need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.by_sparsity import by_sparsity
from labkit.charts.differences import shown
from labkit.charts.rows import (
    NOTHING,
    Row,
    band_words,
    largest_budget,
    padded,
    percent,
    space_words,
    summarise,
    values,
)
from labkit.charts.theme import INK, WIDTH, arm_colour, arm_dash, in_order, panel_title, themed, titled, waiting
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View


def steps_to_threshold(view: View) -> alt.VConcatChart | alt.Chart:
    """Steps until 98 % of the dense parent's final selection accuracy, restricted at the last step, and the share of
    networks that never get there, which count as arriving at that step."""
    rows, budget = largest_budget(view.results())
    if not rows:
        return waiting("Does it learn faster?", NOTHING)
    what = space_words(view)
    steps = by_sparsity(rows, "steps_to_threshold", what, "steps to the threshold (restricted mean)", number=",~f")
    chart = alt.vconcat(steps, _never(rows), spacing=22)
    text = titled(
        "Does it learn faster?",
        band_words(rows),
        "threshold: 98 % of the dense parent's final selection accuracy",
        "a network that never arrives counts with the last step",
        budget,
    )
    return themed(chart.properties(title=text))


def _never(rows: Sequence[Row]) -> alt.Chart:
    """The share of networks that never arrive, as numbers: an interval of a share that is often 0 or 1 means little."""
    cells = [
        {
            "sparsity": percent(entry["sparsity"]),
            "arm": entry["arm"],
            "never": entry["mean"],
            "text": percent(round(entry["mean"], 2)),
        }
        for entry in summarise(rows, ("sparsity", "arm"), "censored")
    ]
    columns = [percent(sparsity) for sparsity in sorted({row["sparsity"] for row in rows})]
    names = in_order(row["arm"] for row in rows)
    table = alt.Chart(values(cells), width=WIDTH - 130, height=alt.Step(20)).mark_text(fontSize=12, color=INK)
    table = table.encode(
        x=alt.X("sparsity:N", sort=columns, title="sparsity", axis=alt.Axis(labelAngle=0, grid=False, domain=False)),
        y=alt.Y("arm:N", sort=names, title=None, axis=alt.Axis(labelFontSize=12, labelColor=INK)),
        text="text:N",
    )
    return table.properties(title=panel_title("share of networks that never arrive"))


def training_curves(view: View) -> alt.ConcatChart | alt.Chart:
    """Selection accuracy of each arm against the training step, a panel for each grid point."""
    rows = [row | {"where": words(shown(view, row))} for row in view.series("curve")]
    if not rows:
        return waiting("Learning curves", NOTHING)
    summary = summarise(rows, ("where", "arm", "step"), "selection_accuracy")
    domain = padded([entry[end] for entry in summary for end in ("mean", "low", "high") if end in entry])
    places = list(dict.fromkeys(row["where"] for row in rows))
    arms = in_order(row["arm"] for row in rows)
    panels = []
    for place in places:
        here = [entry for entry in summary if entry["where"] == place]
        base = alt.Chart(values(here), width=WIDTH // 2 - 40, height=200).encode(
            x=alt.X("step:Q", title="training step"), color=arm_colour(arms)
        )
        scale = alt.Scale(domain=domain, nice=False, clamp=True)
        line = base.mark_line(strokeWidth=2).encode(
            y=alt.Y("mean:Q", title="selection accuracy", scale=scale), strokeDash=arm_dash(arms)
        )
        band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.12)
        panels.append(
            alt.layer(band.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"), line).properties(
                title=panel_title(place)
            )
        )
    text = titled("Learning curves", band_words(rows, ("where", "arm")))
    return themed(alt.concat(*panels, columns=2, spacing=24).properties(title=text))
