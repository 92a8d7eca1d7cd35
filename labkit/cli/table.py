"""Rows of a table as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows under their column names, aligned; columns in the order in which they first appear, numbers to the
    right."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[printable(name) for name in columns]] + [[_cell(row.get(name, "")) for name in columns] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    right = [all(isinstance(row.get(name, 0), (int, float)) for row in rows) for name in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def printable(text: str) -> str:
    """The text on one line: characters that would drive the terminal, or hide others, are shown as their escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))
