"""Loss surfaces of privately trained networks beside their twins, and how far the noise alone has carried them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.epsilons import few, in_words, is_number, ordered
from labkit.charts.rows import NOTHING, artifacts, grid_value, values
from labkit.charts.surfaces import SIDE, log_domain, surface
from labkit.charts.theme import INK, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

LANDSCAPES = "Where private training ends: loss surfaces, with the reach of the noise"
NUMBERS, COLUMNS = 4, 3
AROUND = np.linspace(0, 2 * math.pi, 73)


def private_landscapes(view: View) -> alt.ConcatChart | alt.Chart:
    """Planes around trained networks at up to four epsilons and at clipped and plain, all on one scale of loss.

    The circle has the length of the noise accumulated on the way, in units of the axes. Nothing of it is private: the
    losses are exact ones of the training data.
    """
    stored: dict[Any, tuple[int, dict[str, np.ndarray]]] = {}
    for point, seed, arrays in artifacts(view, "landscape"):
        stored.setdefault(grid_value(point, "epsilon"), (seed, arrays))
    if not stored:
        return waiting(LANDSCAPES, NOTHING)
    shown = few(stored, NUMBERS) + [word for word in ordered(stored) if not is_number(word)]
    domain = log_domain([stored[epsilon][1]["loss"] for epsilon in shown])
    panels = [_panel(epsilon, stored[epsilon][1], domain) for epsilon in shown]
    seeds = ", ".join(str(seed) for seed in sorted({stored[epsilon][0] for epsilon in shown}))
    text = titled(
        LANDSCAPES,
        "not private: exact losses of the training data, which no epsilon covers",
        "circle: length of the noise that all steps together added; colours and lines on a log scale, one for all",
        f"dense parent, seed {seeds}; filter-normalised Gaussian directions; dot: where training ended",
    )
    return themed(alt.concat(*panels, columns=COLUMNS, spacing=6).properties(title=text))


def _panel(epsilon: Any, arrays: dict[str, np.ndarray], domain: tuple[float, float]) -> alt.LayerChart:
    axis, radius = arrays["axis"], float(arrays["noise_radius"])
    drawn = surface(arrays["loss"], axis, axis, domain, ("direction 1", "direction 2"), "")
    circle = [
        {"x": radius * math.cos(angle), "y": radius * math.sin(angle), "place": i} for i, angle in enumerate(AROUND)
    ]
    layers = list(drawn.layer)
    if radius > 0:
        line = alt.Chart(values(circle)).encode(x="x:Q", y="y:Q", order="place:O")
        layers += [
            line.mark_line(color=INK, strokeWidth=3.6, clip=True, opacity=0.7),
            line.mark_line(color="white", strokeWidth=1.8, clip=True),
        ]
    end = alt.Chart(values([{"x": 0, "y": 0}])).mark_point(size=40, stroke=INK, strokeWidth=1, fill="white", opacity=1)
    layers.append(end.encode(x="x:Q", y="y:Q"))
    if radius > math.sqrt(2) * float(np.abs(axis).max()):  # beyond the corners
        note = alt.Chart(values([{"text": "the circle lies outside"}])).mark_text(color="white", fontSize=12)
        layers.append(note.encode(x=alt.value(SIDE / 2), y=alt.value(SIDE - 14), text="text:N"))
    name = f"{in_words(epsilon)}: noise {radius:.2g}" if radius > 0 else f"{epsilon}: no noise, no epsilon"
    return alt.layer(*layers).properties(title=panel_title(name), width=SIDE, height=SIDE)
