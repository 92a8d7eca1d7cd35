"""Still pictures of charts: no browser, no network."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from labkit.charts.theme import LETTERS

LINES = 6  # of a description
SCALE = 2.0  # pixels per chart unit: sharp on screens of high density


def png(chart: Any, scale: float = SCALE) -> bytes:
    """The chart as a PNG file.

    Args:
        chart: any Altair chart.
        scale: pixels per unit of the chart's width and height.
    """
    import vl_convert  # takes a while to load, and only pictures need it

    return vl_convert.vegalite_to_png(chart.to_json(), scale=scale)


@dataclass(frozen=True)
class Still:
    """A picture that a notebook shows at its own size; a cell's last value may be one, and so may `display`'s argument.

    Args:
        data: a PNG file.
        scale: its pixels per unit of size on the page.
        words: what it says, for who cannot see it.
    """

    data: bytes = field(repr=False)  # else a notebook would hold the picture a second time, as text
    scale: float = SCALE
    words: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels."""
        width, height = struct.unpack(">II", self.data[16:24])
        return round(width / self.scale), round(height / self.scale)

    def _repr_png_(self) -> tuple[bytes, dict[str, int | str]]:
        width, height = self.size
        return self.data, {"width": width, "height": height} | ({"alt": self.words} if self.words else {})


def still(chart: Any, scale: float = SCALE, verdict: str = "") -> Still:
    """The chart as a picture that IPython displays; it needs neither a browser nor a widget.

    Args:
        verdict: what came out, which its words end with.
    """
    return Still(png(chart, scale), scale, in_words(chart, verdict))


def in_words(chart: Any, verdict: str = "") -> str:
    """A chart's title, the lines below it and the verdict: a text to listen to in place of the picture."""
    title = chart.to_dict().get("title", "")
    title, below = (title["text"], title.get("subtitle", [])) if isinstance(title, dict) else (title, [])
    lines: list[str] = []
    for line in below:
        # What would have fitted on the line before begins a line of its own, the rest was only wrapped.
        if lines and len(lines[-1].rpartition("\n")[2]) + 1 + len(line.partition(" ")[0]) > LETTERS:
            lines[-1] += f"\n{line}"
        else:
            lines.append(line)
    return heard("\n".join(part for part in (title, "; ".join(lines).replace("\n", " "), verdict) if part))


def heard(description: str) -> str:
    """A description that somebody listens to at every picture: its first lines, and how many more there were."""
    lines = description.split("\n")
    if len(lines) <= LINES + 1:
        return description
    return "\n".join([*lines[:LINES], f"and {len(lines) - LINES} more lines"])
