"""The loss around the public weights: along a private update inside the chosen rows, and outside of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.epsilons import in_words
from labkit.charts.finetune_rows import Setting, drawn_arm, middle
from labkit.charts.rows import NOTHING, artifacts, values
from labkit.charts.surfaces import log_domain, surface
from labkit.charts.theme import INK, arm, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

LANDSCAPE = "The loss around the public weights"
MARKS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
SAID = (
    "one private training of all weights, its update split in two; head, biases and norms are as trained everywhere",
    "1: public rows; 2: the update inside the chosen rows alone; 3: the whole update",
)
TITLES = "share of the update inside the chosen rows", "share of the update outside of them"
SIDES = (420, 250)  # px, for one and for two


def finetune_landscape(view: View) -> alt.ConcatChart | alt.Chart:
    """Training loss at the public weights plus a share of a private update inside the chosen rows (to the right) and a
    share of it outside of them (upwards); of the first replicate. The update is that of training all weights. Not
    private."""
    stored: dict[Setting, tuple[Any, int, dict[str, np.ndarray]]] = {}
    found = [(view.fields(point), seed, arrays) for point, seed, arrays in artifacts(view, "landscape")]
    for fields, seed, arrays in sorted(found, key=lambda told: told[0]["epsilon"] != middle(view)):
        stored.setdefault(Setting.of(fields | {"arm": fields["method"]}), (fields["epsilon"], seed, arrays))
    if not stored:
        return waiting(LANDSCAPE, NOTHING)
    shown = sorted(stored, key=lambda own: own.order)[: len(SIDES)]
    domain = log_domain([stored[own][2]["loss"] for own in shown])
    side = SIDES[len(shown) - 1]
    panels = [_panel(own, stored[own][2], domain, side, len(shown)) for own in shown]
    places = dict.fromkeys(f"{in_words(stored[own][0])}, seed {stored[own][1]}" for own in shown)
    said = _name(shown[0]) if len(shown) == 1 else "loss around each method's own rows"
    text = titled(
        LANDSCAPE,
        "not private: exact losses of the training data, which no epsilon covers",
        f"{'; '.join(places)}; {said}",
        *SAID,
        "the update holds its noise; colours and lines on a log scale",
    )
    return themed(alt.concat(*panels, columns=len(SIDES), spacing=8).properties(title=text))


def _name(own: Setting) -> str:
    return f"{arm(drawn_arm(own.method)).words}: {own.words}"


def _panel(
    own: Setting, arrays: dict[str, np.ndarray], domain: tuple[float, float], side: int, panels: int
) -> alt.LayerChart:
    drawn = surface(arrays["loss"], arrays["axis_x"], arrays["axis_y"], domain, TITLES, "", side)
    marks = [{"x": a, "y": b, "place": i, "text": str(i)} for i, (a, b) in enumerate(MARKS, start=1)]
    base = alt.Chart(values(marks)).encode(x="x:Q", y="y:Q")
    layers = list(drawn.layer)
    layers.append(base.mark_line(color="white", strokeWidth=1.4, strokeDash=[4, 3]).encode(order="place:O"))
    layers.append(base.mark_point(size=240, stroke=INK, strokeWidth=1.2, fill="white", opacity=1))
    layers.append(base.mark_text(fontSize=11, fontWeight="bold", color=INK).encode(text="text:N"))
    title = panel_title(_name(own) if panels > 1 else "")
    return alt.layer(*layers).properties(title=title, width=side, height=side)
