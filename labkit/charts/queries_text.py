"""Text in columns, drawn as a chart: rows of several lines, headings, a rule between rows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from labkit.charts.rows import values
from labkit.charts.theme import FAINT, INK, SOFT, WIDTH, ink

LINE = 14  # px from one line of a cell to the next
AIR = 9  # px more from one row to the next
LETTER = 5.6  # px, about the widest mean letter at this size


@dataclass(frozen=True)
class Cell:
    """One cell: a text, or the heading of a column or group."""

    text: str
    ink: str = INK
    bold: bool = False
    across: bool = False  # to the right end of the table


def text_table(rows: Sequence[Sequence[Cell | str]], at: Sequence[float], *, heading: bool = True) -> alt.LayerChart:
    """A table of text; long cells are wrapped, and a row is as high as its highest cell.

    Args:
        rows: of cells; a row may be shorter than `at`.
        at: px from the left at which each column begins.
        heading: whether the first row names the columns.
    """
    ends = [*at[1:], WIDTH]
    cells, rules, top = [], [], 0
    for number, row in enumerate(rows):
        first = heading and number == 0
        lines = 1
        for place, end, given in zip(at, ends, row, strict=False):
            cell = given if isinstance(given, Cell) else Cell(given, SOFT if first else INK)
            width = (WIDTH if cell.across else end) - place
            wrapped = textwrap.wrap(cell.text, max(4, int((width - 8) / LETTER))) or [""]
            lines = max(lines, len(wrapped))
            weight = "bold" if cell.bold else "normal"
            cells.append({"x": place, "y": top, "text": wrapped, "ink": ink(cell.ink), "weight": weight})
        top += lines * LINE + AIR
        rules.append({"y": top - AIR / 2 - LINE / 2 - 1})
    height = max(top, 1)
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, WIDTH], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[height - LINE / 2, -LINE / 2 - 2], nice=False), axis=None)
    ruled = alt.Chart(values(rules)).mark_rule(color=FAINT).encode(y=y, x=alt.value(0), x2=alt.value("width"))
    layers: list[alt.Chart] = [ruled]
    for weight in ("normal", "bold"):
        table = [cell for cell in cells if cell["weight"] == weight]
        mark = alt.Chart(values(table)).mark_text(
            align="left", baseline="middle", fontSize=11.5, lineHeight=LINE, fontWeight=weight
        )
        layers.append(mark.encode(x=x, y=y, text="text:N", color=alt.Color("ink:N", scale=None)))
    return alt.layer(*layers).properties(width=WIDTH, height=height)
