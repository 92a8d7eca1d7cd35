"""What the tuned model remembers: the exposure of planted queries, by how often each was planted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.epsilons import in_words, is_number, ordered
from labkit.charts.queries_rows import of_split, splits
from labkit.charts.rows import Row, grouped, values
from labkit.charts.theme import GROUND, INK, SOFT, WIDTH, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

EXPOSURE = "What the model remembers: exposure of planted queries"
CHANCE = 1 / math.log(2)  # bits: the mean of -log2 of a uniform rank's share, 1.44 (privacy.md 16)
KEY = ("epsilon", "seed", "repeats", "canary")
PRIVATE, NOT_PRIVATE = "#0072B2", "#D55E00"


def exposure(view: View) -> alt.ConcatChart | alt.Chart:
    """Exposure in bits against the number of times that a query was planted, a panel for each epsilon.

    A dot for every canary, a bar and its number for their mean. Dashed: the mean of a model that remembers nothing;
    dotted: the most that the sampled alternatives can show. Canaries are planted in runs of their own.
    """
    rows = view.series("exposure")
    if not rows:
        return waiting(EXPOSURE, "no canaries in this run; they are planted in runs of their own")
    split = splits(rows)[0]
    rows = [group[-1] for group in grouped(of_split(rows, split), KEY).values()]
    cap = max(float(row["cap"]) for row in rows)
    epsilons, repeats = ordered(row["epsilon"] for row in rows), sorted({int(row["repeats"]) for row in rows})
    scale = alt.Scale(domain=[0, 1.12 * max(cap, *(float(row["exposure"]) for row in rows))], nice=False)
    columns = min(3, len(epsilons))
    width = (WIDTH - 34 * (columns - 1)) // columns
    panels = [
        _panel([row for row in rows if row["epsilon"] == epsilon], repeats, cap, scale, width, first=not i % columns)
        .properties(title=panel_title(in_words(epsilon)))
        for i, epsilon in enumerate(epsilons)
    ]  # fmt: skip
    text = titled(
        EXPOSURE,
        f"dashed: {CHANCE:.2f} bits, the mean where nothing is remembered; dotted: {cap:.3g} bits, the most that the "
        "sampled alternatives can show",
        _counts(rows),
        "exposures are measured on what was trained on: not private",
        "a low exposure is no proof of privacy: the epsilon is the guarantee",
    )
    return themed(alt.concat(*panels, columns=3, spacing=16).properties(title=text))


def _counts(rows: Sequence[Row]) -> str:
    counts = {len(group) for group in grouped(rows, ("epsilon", "repeats")).values()}
    low, high = min(counts), max(counts)
    said = f"{low}" if low == high else f"{low} to {high}"
    few = "; fewer than 20 say little" if low < 20 else ""
    return f"dots: {said} canaries for each number of repeats; bar: their mean{few}"


def _panel(
    rows: Sequence[Row], repeats: Sequence[int], cap: float, scale: alt.Scale, width: int, *, first: bool
) -> alt.LayerChart:
    colour = PRIVATE if is_number(rows[0]["epsilon"]) else NOT_PRIVATE
    order = [f"{count:,}" for count in repeats]
    dots, means = [], []
    for (count,), group in grouped(rows, ("repeats",)).items():
        bits = [float(row["exposure"]) for row in group]
        dots += [
            {"repeats": f"{int(count):,}", "exposure": value, "canary": str(row["canary"]), "aside": _aside(i)}
            for i, (row, value) in enumerate(zip(group, bits, strict=True))
        ]
        mean = float(np.mean(bits))
        means.append({"repeats": f"{int(count):,}", "mean": mean, "said": f"{mean:.1f}", "n": len(bits)})
    x = alt.X("repeats:N", sort=order, scale=alt.Scale(domain=order), title="times planted", axis=_axis())
    title = "exposure (bits)" if first else None

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6))

    aside = alt.XOffset("aside:Q", scale=alt.Scale(domain=[-1.6, 1.6]))
    dot = alt.Chart(values(dots)).mark_circle(size=20, opacity=0.5, color=colour)
    mean = alt.Chart(values(means)).mark_tick(size=34, thickness=3, color=INK)
    look = {"fontSize": 11, "dx": 20, "align": "left", "fontWeight": 600}
    halo = alt.Chart(values(means)).mark_text(stroke=GROUND, strokeWidth=4, **look)
    said = alt.Chart(values(means)).mark_text(color=INK, **look)
    layers = [
        _rule(CHANCE, [5, 4], y),
        _rule(cap, [1, 3], y),
        dot.encode(x=x, y=y("exposure"), xOffset=aside, tooltip=["canary:N", alt.Tooltip("exposure:Q", format=".2f")]),
        mean.encode(x=x, y=y("mean"), tooltip=[alt.Tooltip("mean:Q", format=".2f"), "n:Q"]),
        halo.encode(x=x, y=y("mean"), text="said:N"),
        said.encode(x=x, y=y("mean"), text="said:N"),
    ]
    return alt.layer(*layers).properties(width=width, height=210)


def _axis() -> alt.Axis:
    return alt.Axis(labelAngle=0, ticks=False, labelFontSize=12)


def _aside(number: int) -> float:
    """Where a dot stands beside others of its column: spread by the golden ratio, the same at every drawing."""
    return 2 * (number * 0.6180339887498949 % 1) - 1


def _rule(at: float, dash: list[int], y: Any) -> alt.Chart:
    return alt.Chart(values([{"at": at}])).mark_rule(color=SOFT, strokeDash=dash, strokeWidth=1.4).encode(y=y("at"))
