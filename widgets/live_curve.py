"""The chart that the panel draws while training, and its still twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.png import Still, still
from labkit.charts.theme import PALETTE, WIDTH, arm_colour, themed
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
UNKNOWN_ARMS = alt.Color(
    "arm:N",
    title="arm",
    scale=alt.Scale(range=list(PALETTE)),
    legend=alt.Legend(orient="right", direction="vertical", symbolType="stroke", symbolStrokeWidth=2.5, symbolSize=300),
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
    title, domain = KNOWN.get(said["y"], (said["y"].replace("_", " "), None))
    title, domain = said.get("y_title", title), said.get("domain", domain)
    scale = alt.Scale(zero=False) if domain is None else alt.Scale(domain=list(domain), nice=False)
    end = getattr(spec, said["x_end"], None)
    ends = {"domainMax": _last(said["x_end"], said["x"]), "domainMin": 0} if end is None else {"domain": [0, end]}
    x = alt.X(f"{said['x']}:Q", title=said["x_title"], scale=alt.Scale(**ends, nice=False))
    y = alt.Y(f"{said['y']}:Q", title=title, scale=scale)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("seed:O"), alt.Tooltip(f"{said['x']}:Q")]
    tooltip += [alt.Tooltip(f"{name}:N") for name, item in spec.controls().items() if item.grid]
    tooltip += [alt.Tooltip(f"{said['y']}:Q", format=".3f")]
    chart = alt.Chart(alt.NamedData("points"), width="container", height=HEIGHT).encode(
        x=x,
        y=y,
        color=arm_colour(said["arms"]) if said["arms"] else UNKNOWN_ARMS,
        detail=["name:N", "seed:N"],
        tooltip=tooltip,
    )
    return themed(chart.mark_line(strokeWidth=1.6, opacity=0.75, clip=True, point=alt.OverlayMarkDef(size=14)))


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
    return still(with_rows(experiment, view))
