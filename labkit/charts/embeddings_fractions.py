"""How much of the budget to spend on selection, and what the inverted reading of the same number would spend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.embeddings_panels import GAIN, SURVIVORS, lines_legend, panels, private, with_gain
from labkit.charts.embeddings_rows import usual, usual_words
from labkit.charts.rows import NOTHING, band_words, percent
from labkit.charts.theme import SCHEME, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

FRACTIONS = "How much to spend on selection"


def inverted(fraction: float) -> float:
    """The share of 1/sigma^2 that selection gets where the number is read the other way round.

    With r = f / (1 - f) the noises are then sigma sqrt(1 + r^2) on the map and sigma sqrt(1 + r^2) / r on the gradient,
    so that the map's share is 1 / (1 + r^2) = (1 - f)^2 / ((1 - f)^2 + f^2).
    """
    return (1 - fraction) ** 2 / ((1 - fraction) ** 2 + fraction**2)


def fractions(view: View) -> alt.ConcatChart | alt.Chart:
    """Test AUC (minus DP-SGD's, seed by seed) and rows noised in a step of DP-AdaFEST against the selection fraction, a
    line for each threshold, a column for each epsilon. Below each fraction, in brackets: what the inverted convention
    would have spent."""
    paired = with_gain(private(usual(view.results())))
    own = [row for row in paired if row["arm"] == "adafest"]
    norms = {row["map_norm"] for row in own}
    rows = [row for row in own if row["map_norm"] == "l2" or "l2" not in norms]
    found = sorted({row["selection_fraction"] for row in rows})
    if not rows:
        return waiting(FRACTIONS, NOTHING)
    if len(found) < 2:
        return waiting(FRACTIONS, f"one selection fraction in this run, {found[0]:g}: several make a line")
    named = [row | {"line": f"{row['threshold']:g}"} for row in rows]
    thresholds = [f"{threshold:g}" for threshold in sorted({row["threshold"] for row in rows})]
    colour = alt.Color(
        "line:N", title="threshold (standard deviations of the selection noise)",
        scale=alt.Scale(domain=thresholds, scheme=SCHEME), legend=lines_legend(),
    )  # fmt: skip
    chart, cut = panels(named, (GAIN, SURVIVORS), _x(found), "selection_fraction", "line", colour)
    text = titled(
        FRACTIONS,
        usual_words(view, rows),
        band_words(rows, ("epsilon", "selection_fraction", "threshold")),
        cut,
        "selection fraction f: the share of 1/sigma\u00b2 that the contribution map's noise uses up; noise sigma "
        "C1 / sqrt(f) on the map, sigma C2 / sqrt(1 - f) on the gradient",
        "in brackets: the share that the same number buys where noises are sigma sqrt(1 + r\u00b2) and sigma sqrt(1 + "
        "r\u00b2) / r with r = f / (1 - f): another convention, as private, and the other way round",
    )
    return themed(chart.properties(title=text))


def _x(found: Sequence[float]) -> alt.X:
    said = "".join(
        f"abs(datum.value - {f!r}) < 1e-9 ? ['{f:g}', '({percent(round(inverted(f), 3))})'] : " for f in found
    )
    axis = alt.Axis(values=list(found), labelExpr=said + "''", labelOverlap=False, grid=False, labelFontSize=10)
    scale = alt.Scale(domain=[0, 1], nice=False)
    return alt.X("selection_fraction:Q", title="selection fraction f", scale=scale, axis=axis)
