"""How much of a private choice of rows is a choice, and how much is luck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.epsilons import NO_EPSILON, Places, is_number
from labkit.charts.finetune_rows import main_rows, named, setting_words
from labkit.charts.frontier_lines import over_epsilon
from labkit.charts.rows import band_words, percent, summarise, values
from labkit.charts.theme import INK, SOFT, WIDTH, in_order, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

AGREEMENT = "Does the private choice find the rows that the noiseless one would?"
OVERLAP, CHANCE = "not_private_overlap", "chance_overlap"
SHARE = "share of rows in both choices"
PLOT = WIDTH - 60  # px; chance is named to the right of it


def finetune_agreement(view: View) -> alt.LayerChart | alt.Chart:
    """The share of privately chosen rows that the same score without noise would have chosen, against epsilon: a line
    for each score; beside it what chance alone gives. Not private."""
    rows = named(row for row in main_rows(view) if OVERLAP in row)
    if not rows:
        return waiting(AGREEMENT, "no method that pays for a choice of rows has finished yet")
    table, places = summarise(rows, ("epsilon", "arm"), OVERLAP), Places.of(row["epsilon"] for row in rows)
    for entry in table:  # no share lies beyond
        entry |= {end: min(max(entry[end], 0.0), 1.0) for end in ("low", "high") if end in entry}
    arms, scale = in_order(row["arm"] for row in rows), alt.Scale(domain=[0, 1.02], nice=False)
    lines = over_epsilon(table, places, arms, scale, PLOT, 280, SHARE, ".0%", alone=True)
    chances = sorted({round(float(row[CHANCE]), 2) for row in rows if CHANCE in row})
    said = [{"mean": chance, "said": f"chance {percent(chance)}"} for chance in chances]
    luck = alt.Chart(values(said)).encode(y=alt.Y("mean:Q", title=SHARE, scale=scale))
    layers = [
        luck.mark_rule(color=INK, strokeDash=[5, 4], opacity=0.7),
        luck.mark_text(align="left", dx=4, fontSize=10.5, color=SOFT).encode(x=alt.value(PLOT), text="said:N"),
    ]
    text = titled(
        AGREEMENT,
        "not private: the noiseless choice is an exact look at the training data, which no epsilon covers",
        f"{setting_words(view)}; {band_words(rows, ('epsilon', 'arm'))}",
        "chance: what as many rows drawn at random would share with it; at that line the choice is noise",
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
    )
    return themed(alt.layer(lines, *layers).properties(width=PLOT, height=280, title=text), above=20)
