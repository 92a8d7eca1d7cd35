"""A chart in the page whose data is patched in place, offline."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets
import vl_convert

Row = Mapping[str, Any]


class LiveChart(anywidget.AnyWidget):
    """A Vega-Lite chart that grows row by row without being drawn anew.

    The page draws `spec` once. Appended rows travel alone, as a message; `rows` holds all of them, so that a page
    that is opened later starts complete. The page's own `rows` therefore stay as they were last assigned, and to
    assign the same again, as nothing is, would be no change there: what tells it is `replacements`.

    Attributes:
        spec: what is drawn.
        rows: all rows held.
        replacements: how often `replace` was called.

    Args:
        spec: a Vega-Lite specification whose data is the named source "points". A width of "container" follows
            the page.
        rows: what is drawn at first.
        words: what the chart shows, as text: a screen reader says it in place of the drawing.
        keep: the most rows held; beyond it the older half is dropped, which bounds the memory of kernel and page.
    """

    spec = traitlets.Dict().tag(sync=True)
    rows = traitlets.List().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)
    replacements = traitlets.Int(0).tag(sync=True)

    def __init__(self, spec: Mapping[str, Any], rows: Iterable[Row] = (), *, keep: int = 20_000) -> None:
        self.keep = keep
        super().__init__(spec=dict(spec), rows=[dict(row) for row in rows])
        self.on_msg(self._answer)

    @property
    def _esm(self) -> str:
        return javascript()

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows at the end; the page receives these alone."""
        added = [dict(row) for row in rows]
        if not added:
            return
        if len(self.rows) + len(added) > self.keep:
            self.replace((self.rows + added)[-self.keep // 2 :])
            return
        at = len(self.rows)
        self.rows.extend(added)  # in place: an assignment would send every row again
        self.send({"at": at, "rows": added})

    def replace(self, rows: Iterable[Row]) -> None:
        """Draw these rows and no others."""
        with self.hold_sync():  # one message: the page reads the rows when it hears of the replacement
            self.rows = [dict(row) for row in rows]
            self.replacements += 1

    def _answer(self, _widget: LiveChart, message: Mapping[str, int], _buffers: object) -> None:
        """A page says how many rows it has; send it what it lacks."""
        have = message["have"]
        if have < len(self.rows):
            self.send({"at": have, "rows": self.rows[have:]})


@functools.cache
def javascript() -> str:
    """live_chart.js with Vega, Vega-Lite and Vega-Embed in one module, about 0.9 MB, that fetches nothing."""
    return vl_convert.javascript_bundle(Path(__file__).with_suffix(".js").read_text())
