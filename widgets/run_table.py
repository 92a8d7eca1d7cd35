"""A table of earlier runs, each with a button that opens it."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class RunTable(anywidget.AnyWidget):
    """Earlier runs, newest first.

    Attributes:
        rows: one dictionary of texts a run: key, started, state, done, parameters, error.
        shown: the key of the parameters that the controls show, whose row is marked.
        chosen: the key of the run whose button was pressed; whoever acts on it empties it again.
        locked: whether the buttons are off, as they are while something trains.
    """

    _esm = Path(__file__).with_suffix(".js")
    rows = traitlets.List(traitlets.Dict(value_trait=traitlets.Unicode())).tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)
    locked = traitlets.Bool(False).tag(sync=True)
