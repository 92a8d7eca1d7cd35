"""A table of the latest rows of a series, as text."""

from __future__ import annotations

import html
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from labkit.charts.epsilons import called
from labkit.charts.theme import arm

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment

ROWS = 8
EVERY = 1.0  # seconds between two drawings: a text that changes faster cannot be read
LETTERS = 240  # of a cell


class LiveTable:
    """The newest rows of a series, newest first; hidden while there is none.

    Attributes:
        series: whose rows are shown.
        widget: the table. It is one piece of HTML whose every text is escaped, so that no row can be markup.

    Args:
        series: as above.
        columns: the fields that are shown, in order.
        rows: how many rows are kept.
        clock: seconds; rows that are appended are drawn once for each `EVERY` seconds.
    """

    def __init__(
        self, series: str, columns: Sequence[str], rows: int = ROWS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.series, self._columns, self._clock = series, tuple(columns), clock
        self._rows: deque[Mapping[str, Any]] = deque(maxlen=rows)
        self._drawn = -float("inf")
        self.widget = W.HTML().add_class("labkit-live-table")
        self.draw()

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows at the end; drawn now, or with those that come once the last drawing is old enough."""
        before = len(self._rows)
        self._rows.extend(rows)
        if self._clock() - self._drawn >= EVERY or not before:
            self.draw()

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Draw the last of these rows and no others."""
        self._rows.clear()
        self._rows.extend(rows)
        self.draw()

    def draw(self) -> None:
        """Draw what is held; the page is told nothing where nothing changed."""
        self._drawn = self._clock()
        self.widget.value = self._html() if self._rows else ""
        self.widget.layout.display = None if self._rows else "none"

    def _html(self) -> str:
        heads = "".join(f'<th scope="col">{html.escape(_heading(name))}</th>' for name in self._columns)
        lines = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(_text(name, row.get(name, '')))}</td>" for name in self._columns)
            + "</tr>"
            for row in reversed(self._rows)
        )
        caption = html.escape(f"Latest {self.series}, newest first")
        return f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"


def live_table(experiment: Experiment) -> LiveTable | None:
    """The table that an experiment's `live` describes under `table`: its `series`, its `columns`, and how many `rows`;
    None where it describes none."""
    said = experiment.live.get("table")
    return LiveTable(said["series"], said["columns"], said.get("rows", ROWS)) if said else None


def _heading(name: str) -> str:
    said = name.replace("_", " ")
    return said[:1].upper() + said[1:]


def _text(name: str, value: Any) -> str:
    if name == "arm":
        return arm(str(value)).words
    said = called(value) if isinstance(value, (str, int, float)) else str(value)
    return said if len(said) <= LETTERS else said[: LETTERS - 2].rstrip() + " \u2026"
