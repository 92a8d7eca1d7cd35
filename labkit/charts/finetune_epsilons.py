"""Accuracy of every method against epsilon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.accuracy import test_words
from labkit.charts.embeddings_panels import bounded
from labkit.charts.epsilons import NO_EPSILON, Places, is_number
from labkit.charts.finetune_rows import drawn_arm, main_rows, named, panels_of, setting_words
from labkit.charts.frontier_lines import over_epsilon
from labkit.charts.rows import NOTHING, band_words, summarise
from labkit.charts.theme import WIDTH, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

EPSILONS = "What each method makes of an epsilon"
ACCURACY = "test accuracy"


def finetune_epsilons(view: View) -> alt.VConcatChart | alt.Chart:
    """Test accuracy of each method against epsilon, rows at the main sparsity; bands are 95 % t intervals over seeds.

    More than six methods are drawn in panels, each with all weights and random rows beside its own. Clipped and plain
    training have no epsilon: they stand beyond a gap.
    """
    rows = main_rows(view)
    if not rows:
        return waiting(EPSILONS, NOTHING)
    table = summarise(named(rows), ("epsilon", "arm"), "test_accuracy")
    scale, cut = bounded(table)
    places, split = Places.of(row["epsilon"] for row in rows), panels_of(row["arm"] for row in rows)
    drawn = []
    for title, methods in split.items():
        arms = in_order(map(drawn_arm, methods))
        own = [entry for entry in table if entry["arm"] in arms]
        panel = over_epsilon(own, places, arms, scale, WIDTH, 300 if len(split) == 1 else 200, ACCURACY, alone=True)
        drawn.append(panel.properties(title=panel_title(title)) if title else panel)
    chart = alt.vconcat(*drawn, spacing=14).resolve_scale(color="independent", strokeDash="independent")
    text = titled(
        EPSILONS,
        setting_words(view),
        band_words(rows, ("epsilon", "arm")),
        cut,
        test_words(rows),
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
    )
    return themed(chart.properties(title=text), above=20)
