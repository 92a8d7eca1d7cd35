"""Test accuracy of each arm against sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.by_sparsity import by_sparsity
from labkit.charts.rows import NOTHING, Row, band_words, largest_budget, space_words
from labkit.charts.theme import themed, titled, waiting
from labkit.stats import sampling_error

if TYPE_CHECKING:
    from labkit.runs.view import View


TITLE = "Test accuracy of each arm"


def accuracy_by_sparsity(view: View) -> alt.LayerChart | alt.Chart:
    """The arms' test accuracy, mean over seeds with its band."""
    rows, budget = largest_budget(view.results())
    if not rows:
        return waiting(TITLE, NOTHING)
    chart = by_sparsity(rows, "test_accuracy", space_words(view), "test accuracy (share of images right)")
    return themed(chart.properties(title=titled(TITLE, band_words(rows), test_words(rows), budget)))


def test_words(rows: Sequence[Row]) -> str:
    """The test set's own standard error, which no band over seeds contains (all seeds share the split)."""
    images = {row["test_images"] for row in rows if "test_images" in row}
    if len(images) != 1:
        return ""
    (count,) = images
    middle = sorted(row["test_accuracy"] for row in rows)[len(rows) // 2]
    error = sampling_error(middle, count)
    return f"the test set of {count:,} images has a standard error of {error:.3f} of its own"
