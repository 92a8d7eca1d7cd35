"""Two questions of how rows are chosen: per layer or over all layers, and at the start or after a warm-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.embeddings_panels import bounded
from labkit.charts.epsilons import in_words
from labkit.charts.finetune_rows import (
    READINGS,
    ROWS,
    Setting,
    at_middle,
    drawn_arm,
    main_setting,
    middle,
    once,
    paired,
    setting_words,
    warmup_words,
)
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm, panel_title, themed, titled, waiting
from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View

OTHERS = "Rows of each layer or of all, and a look at the start or later"
DIFFERENCE = "difference in test accuracy"
LEFT, RIGHT = 150, 120  # px for the names and the accuracies


def finetune_scopes(view: View) -> alt.VConcatChart | alt.Chart:
    """Test accuracy of every other scope and warm-up minus the main one's, seed by seed, at the middle epsilon: a panel
    for each, with 95 % paired t intervals and no verdict."""
    rows = at_middle(view, once(view.results()))
    if not rows:
        return waiting(OTHERS, NOTHING)
    found = {title: own for title, own in _compared(view, rows).items() if own}
    if not found:
        return waiting(OTHERS, "one scope and one warm-up in this run: several are compared here")
    entries = [entry for own in found.values() for entry in own]
    margin = view.spec.margin
    scale, cut = bounded(entries, (-1.5 * margin, 1.5 * margin))
    panels = [_panel(own, scale, margin).properties(title=panel_title(title)) for title, own in found.items()]
    most = max(entry["n"] for entry in entries)
    text = titled(
        OTHERS,
        f"{in_words(middle(view))}; compared with {setting_words(view)}",
        f"{most} paired seeds; bar: 95 % paired t interval, one at a time: for a look, no verdict"
        if most > 1
        else "one paired seed: points without intervals",
        f"grey zone: the margin of {margin:g}; right: accuracy of the main setting and of the other",
        cut,
    )
    return themed(alt.vconcat(*panels, spacing=16).properties(title=text))


def _compared(view: View, rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """The panels by their titles: what differs from the main setting in the scope alone, or in the warm-up alone."""
    by: dict[Setting, list[Row]] = {}
    for row in rows:
        by.setdefault(Setting.of(row), []).append(row)
    made: dict[str, list[dict[str, Any]]] = {}
    for own in sorted(by, key=lambda own: own.order):
        base = main_setting(view, own.method)
        gained = paired(by[own], by.get(base, []))
        if own.method not in ROWS or not gained:
            continue
        if own != base and replace(own, scope=base.scope) == base:
            told = "chosen over all layers, not layer by layer"
            title = told if own.scope == "global" else "chosen layer by layer, not over all layers"
        elif own.method in READINGS and own != base and replace(own, warmup=base.warmup) == base:
            title = f"SPARTA looks {_when(own.warmup)}, not {_when(base.warmup)}"
        else:
            continue
        made.setdefault(title, []).append(_entry(own.method, gained, by[base], by[own]))
    return made


def _when(warmup: float) -> str:
    return f"after {warmup_words(warmup)}" if warmup else "at the start"


def _entry(method: str, gained: dict[int, float], before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    held = list(gained.values())
    entry = {"line": arm(drawn_arm(method)).words, "ink": arm(drawn_arm(method)).colour, "n": len(held)}
    first, second = (np.mean([row["test_accuracy"] for row in own if row["seed"] in gained]) for own in (before, after))
    entry |= {"mean": float(np.mean(held)), "said": f"{first:.3f} to {second:.3f}"}
    if len(held) > 1:
        entry["low"], entry["high"] = mean_interval(held)
    return entry


def _panel(entries: Sequence[Row], scale: alt.Scale, margin: float) -> alt.LayerChart:
    y = alt.Y(
        "line:N", title=None, sort=[entry["line"] for entry in entries],
        axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=LEFT),
    )  # fmt: skip
    width = WIDTH - LEFT - RIGHT + 60

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=DIFFERENCE, scale=scale, axis=alt.Axis(format="+.3~f", tickCount=5))

    told = ["line:N", *(alt.Tooltip(f"{end}:Q", format="+.4f") for end in ("mean", "low", "high")), "n:Q", "said:N"]
    band = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(color="#000000", opacity=0.07)
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=SOFT, strokeDash=[3, 3])
    base = alt.Chart(values(entries)).encode(y=y, color=alt.Color("ink:N", scale=None))
    layers = [
        band.encode(x=x("from"), x2="to:Q"),
        zero.encode(x=x("zero")),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.8, clip=True)
        .encode(x=x("low"), x2="high:Q"),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x("mean"), tooltip=told),
        base.mark_text(align="left", dx=8, fontSize=11).encode(x=alt.value(width), text="said:N", color=alt.value(INK)),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=width, height=alt.Step(22))
