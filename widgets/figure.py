"""A picture of a chart in the page, drawn anew when the store has more, with words for who cannot see it."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from labkit.charts.png import Still


class Figure(anywidget.AnyWidget):
    """A chart as a picture; ipywidgets' own image takes no alternative text.

    Attributes:
        value: a PNG file; empty before the first drawing.
        width: in CSS pixels.
        words: what the picture says, as text.
    """

    _esm = Path(__file__).with_suffix(".js")
    value = traitlets.Bytes().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)

    def show(self, still: Still) -> None:
        """Show a picture in place of the one before."""
        with self.hold_sync():
            self.value, self.width, self.words = still.data, still.size[0], still.words
