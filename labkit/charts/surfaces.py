"""Loss surfaces as heat maps with contour lines, and the training path on them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import altair as alt
import contourpy
import numpy as np

from labkit.charts.differences import shown
from labkit.charts.rows import NOTHING, representative, values
from labkit.charts.theme import INK, SCHEME, arm, panel_title, themed, titled, waiting
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View

ARMS, TIMES, SIDE, LINES = ("dense", "found", "first"), ("before", "after"), 160, 8
LEGEND = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]  # losses worth a tick


def surface(
    loss: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    domain: tuple[float, float],
    titles: tuple[str, str],
    name: str,
    side: int = SIDE,
) -> alt.LayerChart:
    """One heat map [h, g] over axes x [g] and y [h] with contour lines, `side` px wide and high; colours span `domain`
    on a log scale."""
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    over_x, over_y = 1.05 * half_x, 1.05 * half_y  # cells overlap a little, or the page shines through between them
    cells = [
        {
            "x": float(a - over_x),
            "x2": float(a + over_x),
            "y": float(b - over_y),
            "y2": float(b + over_y),
            "loss": float(loss[i, j]),
        }
        for (i, b), (j, a) in product(enumerate(y), enumerate(x))
        if np.isfinite(loss[i, j])
    ]
    edges = [float(x[0] - half_x), float(x[-1] + half_x)], [float(y[0] - half_y), float(y[-1] + half_y)]
    scale_x, scale_y = (alt.Scale(domain=edge, nice=False, zero=False) for edge in edges)
    shades = alt.Scale(type="log", scheme=SCHEME, domain=list(domain), clamp=True)
    ticks = [level for level in LEGEND if domain[0] <= level <= domain[1]]
    if len(ticks) < 2:
        ticks = [float(f"{level:.2g}") for level in np.geomspace(domain[0], domain[1], 6)[1:-1]]
    legend = alt.Legend(type="gradient", gradientLength=300, orient="top", values=ticks, format="~g")
    colour = alt.Color("loss:Q", scale=shades, title="loss", legend=legend)
    axis = alt.Axis(grid=False, tickCount=4)
    base = alt.Chart(values(cells), width=side, height=side).mark_rect(clip=True)
    heat = base.encode(
        x=alt.X("x:Q", title=titles[0], scale=scale_x, axis=axis), x2="x2:Q",
        y=alt.Y("y:Q", title=titles[1], scale=scale_y, axis=axis), y2="y2:Q", color=colour,
    )  # fmt: skip
    lines = alt.Chart(values(contours(loss, x, y, domain))).mark_line(color="white", strokeWidth=0.7, opacity=0.75)
    lines = lines.encode(x=alt.X("x:Q", scale=scale_x), y=alt.Y("y:Q", scale=scale_y), detail="line:N", order="place:O")
    return alt.layer(heat, lines).properties(title=panel_title(name))


def contours(loss: np.ndarray, x: np.ndarray, y: np.ndarray, domain: tuple[float, float]) -> list[dict[str, float]]:
    """Points of the contour lines at levels evenly spaced on the log scale of `domain`."""
    generator = contourpy.contour_generator(x, y, np.log(np.maximum(loss, 1e-12)))
    rows, line = [], 0
    for level in np.linspace(*np.log(domain), LINES + 2)[1:-1]:
        for points in generator.lines(level):
            rows += [{"line": line, "place": i, "x": float(a), "y": float(b)} for i, (a, b) in enumerate(points)]
            line += 1
    return rows


def log_domain(losses: Sequence[np.ndarray]) -> tuple[float, float]:
    """The range of some losses for a log scale: from their minimum to at most a hundred times that."""
    finite = np.concatenate([loss[np.isfinite(loss)].ravel() for loss in losses]) if losses else np.array([0.1, 1.0])
    low = max(float(finite.min()), 1e-3)
    return low, min(max(float(finite.max()), low * 1.01), 100 * low)


def landscapes(view: View) -> alt.VConcatChart | alt.Chart:
    """Planes around three networks of one replicate, before training (above) and after it (below)."""
    stored = {(name, when): representative(view, f"landscape-{name}-{when}") for name, when in product(ARMS, TIMES)}
    rows, said = [], NOTHING
    domain = log_domain([found[2]["loss"] for found in stored.values() if found is not None])
    for when in TIMES:
        here = {name: stored[name, when] for name in ARMS if stored[name, when] is not None}
        panels = []
        for name, (point, seed, arrays) in here.items():
            panels.append(
                surface(
                    arrays["loss"],
                    arrays["axis"],
                    arrays["axis"],
                    domain,
                    ("direction 1", "direction 2"),
                    f"{arm(name).words}, {when}",
                )
            )
            where, radius = words(shown(view, view.fields(point))), float(arrays["radius"])
            said = f"{where}, seed {seed}; filter-normalised Gaussian directions, radius {radius:g}"
        if panels:
            rows.append(alt.hconcat(*panels, spacing=14))
    return _stack(rows, "Loss landscapes", said, "colours and contour lines on a log scale, the same for all six")


def path(view: View) -> alt.VConcatChart | alt.Chart:
    """The training path of three networks on its principal components, over the loss around the trained weights."""
    stored = {name: representative(view, f"path-{name}") for name in ARMS}
    here = {name: found for name, found in stored.items() if found is not None}
    domain = log_domain([arrays["loss"] for _, _, arrays in here.values()])
    panels, said = [], NOTHING
    for name, (point, seed, arrays) in here.items():
        first, second = (f"component {i + 1} ({100 * share:.0f} %)" for i, share in enumerate(arrays["explained"]))
        drawn = surface(arrays["loss"], arrays["axis_x"], arrays["axis_y"], domain, (first, second), arm(name).words)
        way = [
            {"x": float(a), "y": float(b), "step": int(s)}
            for (a, b), s in zip(arrays["coordinates"], arrays["steps"], strict=True)
        ]
        line = alt.Chart(values(way)).mark_line(
            color="white", strokeWidth=2, point=alt.OverlayMarkDef(size=30, fill="white", stroke=INK)
        )
        panels.append(
            alt.layer(*drawn.layer, line.encode(x="x:Q", y="y:Q", order="step:Q")).properties(
                title=drawn.title, width=SIDE, height=SIDE
            )
        )
        where = words(shown(view, view.fields(point)))
        said = f"{where}, seed {seed}; the path ends at (0, 0); percentages: shares of the squared distance to the end"
    return _stack([alt.hconcat(*panels, spacing=14)] if panels else [], "The way that training took", said)


def _stack(rows: list[alt.HConcatChart], title: str, *below: str) -> alt.VConcatChart | alt.Chart:
    if not rows:
        return waiting(title, NOTHING)
    return themed(alt.vconcat(*rows, spacing=10).properties(title=titled(title, *below)))
