"""The loss along lines through three networks of one replicate, and the curvature at each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import altair as alt
import numpy as np

from labkit.charts.differences import shown
from labkit.charts.rows import NOTHING, representative, values
from labkit.charts.surfaces import ARMS, TIMES
from labkit.charts.theme import WIDTH, arm, arm_colour, arm_dash, panel_title, themed, titled, waiting
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View

SIDES = {"inside": "weights it kept", "outside": "weights that were removed"}


def profiles(view: View) -> alt.ConcatChart | alt.Chart:
    """The loss along a direction inside the mask and one outside it, for the sparse networks."""
    rows, said = [], NOTHING
    for name, when in product(ARMS[1:], TIMES):
        if found := representative(view, f"landscape-{name}-{when}"):
            point, seed, arrays = found
            said = f"{words(shown(view, view.fields(point)))}, seed {seed}; filter-normalised directions"
            rows += [
                {"arm": name, "when": when, "side": side, "at": float(a), "loss": float(loss)}
                for side in SIDES
                for a, loss in zip(arrays["profile_axis"], arrays[f"profile_{side}"], strict=True)
                if np.isfinite(loss)
            ]
    if not rows:
        return waiting("Inside and outside the mask", NOTHING)
    panels = []
    for when, side in product(TIMES, SIDES):
        both = [r for r in rows if r["when"] == when]  # one scale for both sides, or a flat side looks as steep
        here = [r for r in both if r["side"] == side]
        title = f"{when} training: {SIDES[side]}"
        panels.append(_line(here, title, "step along the direction", [r["loss"] for r in both]))
    return themed(
        alt.concat(*panels, columns=2, spacing=20).properties(title=titled("Inside and outside the mask", said))
    )


def interpolation(view: View) -> alt.Chart:
    """The loss on the straight line from each initialisation (0) to the trained weights (1)."""
    rows, said = [], NOTHING
    if found := representative(view, "interpolation"):
        point, seed, arrays = found
        said = f"{words(shown(view, view.fields(point)))}, seed {seed}"
        rows = [
            {"arm": name, "at": float(a), "loss": float(loss)}
            for name in ARMS
            for a, loss in zip(arrays["axis"], arrays[name], strict=True)
            if np.isfinite(loss)
        ]
    if not rows:
        return waiting("From start to end in a straight line", NOTHING)
    chart = _line(rows, "", "share of the way from start (0) to end of training (1)").properties(
        width=WIDTH, height=240
    )
    return themed(chart.properties(title=titled("From start to end in a straight line", said)))


def _line(rows: list[dict], title: str, along: str, losses: Sequence[float] = ()) -> alt.Chart:
    """One panel; its loss axis spans `losses`, or what is drawn."""
    arms = [name for name in ARMS if any(row["arm"] == name for row in rows)]
    base = alt.Chart(values(rows), width=WIDTH // 2 - 40, height=170).mark_line(strokeWidth=2)
    scale = alt.Scale(type="log", nice=False, domain=[min(losses), max(losses)] if losses else alt.Undefined)
    chart = base.encode(
        x=alt.X("at:Q", title=along, scale=alt.Scale(nice=False)),
        y=alt.Y("loss:Q", title="training loss", scale=scale),
        color=arm_colour(arms),
        strokeDash=arm_dash(arms),
    )
    return chart.properties(title=panel_title(title)) if title else chart


def curvature(view: View) -> alt.ConcatChart | alt.Chart:
    """The Hessian's largest eigenvalue at each network, before and after training."""
    rows = [row | {"where": words(shown(view, row)), "name": arm(row["arm"]).words} for row in view.series("curvature")]
    if not rows:
        return waiting("The steepest curvature", NOTHING)
    names = [arm(name).words for name in ARMS]
    panels = []
    for when in TIMES:
        here = [row for row in rows if row["when"] == when]
        chart = alt.Chart(values(here), width=WIDTH // 2 - 110, height=alt.Step(22)).mark_point(
            filled=True, size=80, opacity=0.9
        )
        chart = chart.encode(
            x=alt.X("eigenvalue:Q", title="largest eigenvalue", scale=alt.Scale(zero=True)),
            y=alt.Y("where:N", title=None, axis=alt.Axis(labelLimit=200)),
            yOffset=alt.YOffset("name:N", sort=names),
            color=alt.Color(
                "name:N", title=None, scale=alt.Scale(domain=names, range=[arm(name).colour for name in ARMS])
            ),
            tooltip=[
                "name:N",
                "where:N",
                alt.Tooltip("eigenvalue:Q", format=".3f"),
                alt.Tooltip("residual:Q", format=".2g"),
            ],
        )
        panels.append(chart.properties(title=panel_title(f"{when} training")))
    said = "one replicate per grid point; power iteration on 500 training images, over the weights that a network keeps"
    return themed(alt.concat(*panels, columns=2, spacing=20).properties(title=titled("The steepest curvature", said)))
