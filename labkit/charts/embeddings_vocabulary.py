"""What a larger vocabulary gives, and what it costs each method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.embeddings_panels import AUC, SMALLER, panels, private
from labkit.charts.embeddings_picks import comparable, picks
from labkit.charts.embeddings_rows import BASELINE, ORDERS, SPARSE, Configuration, Place, once, orders, vocabularies
from labkit.charts.rows import NOTHING, band_words
from labkit.charts.theme import arm_colour, arm_dash, in_order, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

VOCABULARY = "What a larger vocabulary gives, and costs"


def vocabulary(view: View) -> alt.ConcatChart | alt.Chart:
    """Test AUC and reduction against the number of rows of all tables: DP-SGD, and of each other method the
    configuration of the highest mean selection AUC there, among those run at every one; a column for each epsilon."""
    rows = private(once(view.results()))
    if not rows:
        return waiting(VOCABULARY, NOTHING)
    order = orders(rows)[0]
    rows = [row for row in rows if row["order"] == order and "rows" in row]
    if len(vocabularies(rows)) < 2:
        return waiting(VOCABULARY, "one vocabulary in this run: several make a line")
    rows = comparable(rows, "vocabulary")
    best = {(place, found.best) for (place, _), found in picks(rows).items()}
    named = [
        row
        for row in rows
        if row["arm"] == BASELINE or (row["arm"] in SPARSE and (Place.of(row), Configuration.of(row)) in best)
    ]
    arms = in_order(row["arm"] for row in named)
    x = alt.X("rows:Q", title="rows of all tables (log scale)", scale=alt.Scale(type="log", nice=False, padding=12),
              axis=alt.Axis(values=sorted({row["rows"] for row in named}), format=",d", grid=False))  # fmt: skip
    chart, cut = panels(named, (AUC, SMALLER), x, "rows", "arm", arm_colour(arms), arm_dash(arms))
    text = titled(
        VOCABULARY,
        f"{ORDERS.get(order, order)}; {band_words(named, ('epsilon', 'rows', 'arm'))}",
        cut,
        "of each method the configuration of the highest mean selection AUC there, among those run at every vocabulary",
        "a smaller vocabulary is the larger one hashed by a public function, whatever the data hold",
    )
    return themed(chart.properties(title=text))
