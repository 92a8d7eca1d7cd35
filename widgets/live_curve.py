"""The chart that the panel draws while training, and its still twin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.png import Still, heard, still
from labkit.charts.theme import DASHES, PALETTE, WIDTH, arm, arm_colour, arm_dash, in_order, themed
from widgets.feed import Feed

if TYPE_CHECKING:
    from labkit.runs import View
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

HEIGHT = 210
DEFAULTS: dict[str, Any] = {
    "x": "step",
    "x_title": "training step",
    "x_end": "steps",
    "y": "selection_accuracy",
    "arms": (),
}
KNOWN = {"selection_accuracy": ("accuracy on the selection split", (0, 1))}  # of y: its title and its domain
# With a title: Vega lays a legend that has neither title nor entries out at infinity, and the plot with it.
BESIDE = alt.Legend(orient="right", direction="vertical", symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=300)
UNKNOWN_ARMS = (
    alt.Color("arm:N", title="arm", scale=alt.Scale(range=list(PALETTE)), legend=BESIDE),
    alt.StrokeDash("arm:N", title="arm", scale=alt.Scale(range=[list(dash) for dash in DASHES]), legend=BESIDE),
)


def live_curve(experiment: Experiment, spec: Spec) -> alt.Chart:
    """One line per arm, grid point and seed over the steps of training; its data are the named source "points".

    The experiment's `live` names the series. It may name more: the field `x`, its title `x_title` and, as `x_end`, the
    Spec's parameter at which it ends, or else the field of each row that says so; the field `y`, its title `y_title`
    and its `domain`; the `arms` in the legend, or a function that makes them of a Spec. Both axes are fixed from the
    first row on, so that they do not jump while points come; only a field without a known domain, as a loss is, has an
    axis that follows it, and one that no row tells the end of ends at its last point.
    """
    said = DEFAULTS | dict(experiment.live)
    if callable(said["arms"]):
        said["arms"] = said["arms"](spec)
    title, domain = _of_y(said)
    scale = alt.Scale(zero=False) if domain is None else alt.Scale(domain=list(domain), nice=False)
    end = getattr(spec, said["x_end"], None)
    ends = {"domainMax": _last(said["x_end"], said["x"]), "domainMin": 0} if end is None else {"domain": [0, end]}
    x = alt.X(f"{said['x']}:Q", title=said["x_title"], scale=alt.Scale(**ends, nice=False))
    y = alt.Y(f"{said['y']}:Q", title=title, scale=scale)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("seed:O"), alt.Tooltip(f"{said['x']}:Q")]
    tooltip += [alt.Tooltip(f"{name}:N") for name, item in spec.controls().items() if item.grid]
    tooltip += [alt.Tooltip(f"{said['y']}:Q", format=".3f")]
    arms = said["arms"]
    colour, dash = (arm_colour(arms), arm_dash(arms)) if arms else UNKNOWN_ARMS
    chart = alt.Chart(alt.NamedData("points"), width="container", height=HEIGHT).encode(
        x=x,
        y=y,
        color=colour,
        strokeDash=dash,
        detail=["name:N", "seed:N"],
        tooltip=tooltip,
    )
    return themed(chart.mark_line(strokeWidth=1.6, opacity=0.75, clip=True, point=alt.OverlayMarkDef(size=14)))


def in_words(experiment: Experiment, rows: Iterable[Mapping[str, Any]], verdict: str = "") -> str:
    """What the chart shows, as text: its axes, where each arm's lines end (their mean), and the verdict."""
    said = DEFAULTS | dict(experiment.live)
    last: dict[str, dict[tuple[Any, ...], float]] = {}
    for row in rows:
        if row.get(said["y"]) is not None:
            last.setdefault(row["arm"], {})[row.get("name"), row.get("seed")] = row[said["y"]]
    ends = [f"{arm(name).words} {sum(last[name].values()) / len(last[name]):.3g}" for name in in_order(last)]
    axes = f"Chart of {_of_y(said)[0]} against {said['x_title']}."
    ended = f"Lines end at: {', '.join(ends)}." if ends else ""
    return heard("\n".join(part for part in (axes, ended, verdict) if part))


def _of_y(said: Mapping[str, Any]) -> tuple[str, Any]:
    """The title and the domain of the vertical axis; None for one that follows its field."""
    title, domain = KNOWN.get(said["y"], (said["y"].replace("_", " "), None))
    return said.get("y_title", title), said.get("domain", domain)


def _last(end: str, x: str) -> alt.ExprRef:
    """The end of the horizontal axis as the rows tell it."""
    told, seen = (f"extent(pluck(data('points'), '{field}'))[1]" for field in (end, x))
    return alt.ExprRef(f"{told} || {seen} || 1")


def with_rows(experiment: Experiment, view: View) -> alt.Chart:
    """The same chart with the View's rows in it."""
    rows = Feed(view, experiment.live["series"]).everything()
    return live_curve(experiment, view.spec).properties(data=alt.InlineData(values=rows, name="points"), width=WIDTH)


def still_curve(experiment: Experiment, view: View) -> Still:
    """The same chart as a picture."""
    made = still(with_rows(experiment, view))
    rows = Feed(view, experiment.live["series"]).everything()
    return replace(made, words=in_words(experiment, rows, experiment.verdict_words(view)))
