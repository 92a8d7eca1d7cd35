"""A year shuffled, and the same year month after month: which method follows a drifting stream?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.embeddings_panels import GAIN, bounded, private, with_gain
from labkit.charts.embeddings_picks import comparable, picks
from labkit.charts.embeddings_rows import (
    ORDERS,
    Configuration,
    Place,
    epsilons,
    once,
    rows_words,
    usual,
    vocabularies,
)
from labkit.charts.epsilons import in_words
from labkit.charts.rows import NOTHING, Row, band_words, grouped, summarise, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm, in_order, panel_title, themed, titled, waiting
from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View

STREAM = "A drifting stream: who follows?"


def stream(view: View) -> alt.VConcatChart | alt.Chart:
    """Test AUC of each method minus DP-SGD's of the same seed and order: trained on the shuffled year (filled) and
    month after month (hollow), joined; a panel for each epsilon, under whose title DP-AdaFEST's lead over DP-FEST
    stands for both. The two orders have test sets of their own, so only differences within one are comparable.

    Of each method the configuration of the highest mean selection AUC in that order, among those run in both.
    """
    rows = private(once(view.results()))
    if not rows:
        return waiting(STREAM, NOTHING)
    most = vocabularies(usual(view.results()))[-1]
    rows = [row for row in rows if row["vocabulary"] == most and "auc" in row]
    if {row["order"] for row in rows} < set(ORDERS):
        return waiting(STREAM, "one order in this run: order year,months compares them")
    rows = comparable(rows, "order")
    best = {(place, found.best) for (place, _), found in picks(rows).items()}
    rows = [row for row in with_gain(rows) if (Place.of(row), Configuration.of(row)) in best]
    if not rows:
        return waiting(STREAM, "no configuration was run in both orders yet")
    table = summarise(rows, ("epsilon", "arm", "order"), "gain")
    scale, cut = bounded(table, (0.0,))
    shown = epsilons(rows)
    panels = [
        _panel([entry for entry in table if entry["epsilon"] == epsilon], scale, last=epsilon == shown[-1])
        .properties(title=_title(rows, epsilon))
        for epsilon in shown
    ]  # fmt: skip
    text = titled(
        STREAM,
        f"filled: {ORDERS['year']}, tested on a random part of it; hollow: {ORDERS['months']}, tested on later months",
        "the test sets differ, so each method is compared with DP-SGD of the same seed in the same order",
        f"{rows_words(rows)}; {band_words(rows, ('epsilon', 'arm', 'order'))}",
        cut,
        "of each method the configuration of the highest mean selection AUC in that order, of those run in both",
        "in a stream each month is sampled by itself, and what is learned of it is paid for by its own examples",
    )
    return themed(alt.vconcat(*panels, spacing=14).properties(title=text))


def leads(rows: Sequence[Row], epsilon: Any, order: str) -> list[float]:
    """DP-AdaFEST's test AUC minus DP-FEST's in one order, seed by seed."""
    held = {
        (row["arm"], row["seed"]): row["auc"] for row in rows if row["epsilon"] == epsilon and row["order"] == order
    }
    return [
        held["adafest", seed] - held["fest", seed]
        for seed in sorted({seed for _, seed in held})
        if ("adafest", seed) in held and ("fest", seed) in held
    ]


def _title(rows: Sequence[Row], epsilon: Any) -> alt.TitleParams:
    said = []
    for order in ORDERS:
        if paired := leads(rows, epsilon, order):
            low_high = "" if len(paired) < 2 else " [{:+.4f}, {:+.4f}]".format(*mean_interval(paired))
            said.append(f"{order}: {np.mean(paired):+.4f}{low_high}")
    title = panel_title(in_words(epsilon))
    if said:
        title["subtitle"] = f"DP-AdaFEST minus DP-FEST, {'; '.join(said)}"
        title["subtitleFontSize"] = 11
    return title


def _panel(table: Sequence[Row], scale: alt.Scale, *, last: bool) -> alt.LayerChart:
    names = in_order(entry["arm"] for entry in table)
    lines = [arm(name).words for name in names]
    drawn = [dict(entry) | {"line": arm(entry["arm"]).words, "colour": arm(entry["arm"]).colour} for entry in table]
    y = alt.Y("line:N", title=None, sort=lines, axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=150))
    colour = alt.Color("colour:N", scale=None)

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=GAIN.number, tickCount=7)
        return alt.X(f"{field}:Q", title=GAIN.title if last else None, scale=scale, axis=axis)

    told = ["line:N", "order:N", *(alt.Tooltip(f"{end}:Q", format="+.4f") for end in ("mean", "low", "high")), "n:Q"]
    zero = alt.Chart(values([{"mean": 0.0}])).mark_rule(color=SOFT, strokeDash=[3, 3]).encode(x=x("mean"))
    layers = [zero, alt.Chart(values(drawn)).mark_line(strokeWidth=1, opacity=0.6).encode(
        x=x("mean"), y=y, color=colour, detail="line:N"
    )]  # fmt: skip
    for (order,), held in grouped(drawn, ("order",)).items():
        look: dict[str, Any] = {"filled": True} if order == "year" else {"fill": "white", "strokeWidth": 1.8}
        base = alt.Chart(values(held)).encode(y=y, color=colour)
        width = 3 if order == "year" else 1.2
        bar = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=width, opacity=0.45, clip=True)
        layers += [
            bar.encode(x=x("low"), x2="high:Q"),
            base.mark_point(size=70, opacity=1, **look).encode(x=x("mean"), tooltip=told),
        ]
    return alt.layer(*layers).properties(width=WIDTH - 110, height=alt.Step(24))
