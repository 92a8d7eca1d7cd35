"""Test accuracy of each arm against sparsity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.by_sparsity import by_sparsity
from labkit.charts.rows import NOTHING, band_words, largest_budget, space_words
from labkit.charts.theme import themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View


TITLE = "Test accuracy of each arm"


def accuracy_by_sparsity(view: View) -> alt.LayerChart | alt.Chart:
    """The arms' test accuracy, mean over seeds with its band."""
    rows, budget = largest_budget(view.results())
    if not rows:
        return waiting(TITLE, NOTHING)
    chart = by_sparsity(rows, "test_accuracy", space_words(view), "test accuracy (share of images right)")
    return themed(chart.properties(title=titled(TITLE, band_words(rows), budget)))
