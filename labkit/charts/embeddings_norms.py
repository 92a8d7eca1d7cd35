"""The contribution map clipped in L2 against one normalised in L1, at equal epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.embeddings_panels import GAIN, SMALLER, lines_legend, panels, private, with_gain
from labkit.charts.embeddings_rows import usual, usual_words
from labkit.charts.rows import NOTHING, band_words
from labkit.charts.theme import PALETTE, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

MAPS = "The contribution map: L2 or L1"
WORDS = {"l2": "clipped in L2", "l1": "normalised in L1"}


def map_norms(view: View) -> alt.ConcatChart | alt.Chart:
    """Test AUC (minus DP-SGD's, seed by seed) and the gradient's reduction of DP-AdaFEST against the threshold, for
    both maps at equal epsilon and the same selection fraction; a column for each epsilon."""
    rows = [row for row in with_gain(private(usual(view.results()))) if row["arm"] == "adafest"]
    if not rows:
        return waiting(MAPS, NOTHING)
    both = {f: {row["map_norm"] for row in rows if row["selection_fraction"] == f} for f in _fractions(rows)}
    shared = [f for f, norms in both.items() if len(norms) > 1]
    if not shared:
        return waiting(MAPS, "one kind of map in this run: map_norm l2,l1 compares them")
    fraction = shared[len(shared) // 2]
    named = [row | {"line": WORDS[row["map_norm"]]} for row in rows if row["selection_fraction"] == fraction]
    names = list(WORDS.values())
    looks, legend = alt.Scale(domain=names, range=list(PALETTE[:2])), lines_legend()
    colour = alt.Color("line:N", title=None, scale=looks, legend=legend)
    dash = alt.StrokeDash("line:N", title=None, scale=alt.Scale(domain=names, range=[[1, 0], [6, 3]]), legend=legend)
    found = sorted({row["threshold"] for row in named})
    axis = alt.Axis(values=found, format="~g", grid=False)
    x = alt.X("threshold:Q", title="threshold", scale=alt.Scale(nice=False, zero=False, padding=10), axis=axis)
    chart, cut = panels(named, (GAIN, SMALLER), x, "threshold", "line", colour, dash)
    text = titled(
        MAPS,
        usual_words(view, rows),
        f"selection fraction {fraction:g}; {band_words(named, ('epsilon', 'threshold', 'line'))}",
        cut,
        "an example that touches m rows adds 1 / sqrt(m) to each under L2 and 1 / m under L1, for the same noise: its "
        "signal is sqrt(m) times weaker under L1, so that fewer touched rows pass the same threshold",
        "threshold: in standard deviations of the selection noise",
        "equal thresholds do not mean equal reductions: compare AUC where the reductions are equal",
    )
    return themed(chart.properties(title=text))


def _fractions(rows: list) -> list[float]:
    return sorted({row["selection_fraction"] for row in rows})
