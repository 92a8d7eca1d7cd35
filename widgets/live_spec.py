"""The chart that the panel draws while training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import vl_convert

from labkit.charts.png import SCALE, Still
from labkit.charts.theme import WIDTH
from widgets.feed import Feed

if TYPE_CHECKING:
    from labkit.experiments.base import Experiment
    from labkit.runs import View


def live_spec(experiment: Experiment) -> dict[str, Any]:
    """The Vega-Lite specification of an experiment's live chart; its data are the named source "points"."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": 220,
        "data": {"name": "points"},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "step", "type": "quantitative"},
            "y": {
                "field": "selection_accuracy",
                "type": "quantitative",
                "aggregate": "mean",
                "scale": {"domain": [0, 1]},
            },
            "color": {"field": "arm", "type": "nominal"},
        },
    }


def still_spec(experiment: Experiment, view: View) -> dict[str, Any]:
    """The same chart with the View's rows in it."""
    spec = live_spec(experiment)
    rows = Feed(view, experiment.live["series"]).everything()
    width = {"width": WIDTH} if spec["width"] == "container" else {}
    return spec | width | {"datasets": {"points": rows}}


def still(experiment: Experiment, view: View) -> Still:
    """The same chart as a picture."""
    return Still(vl_convert.vegalite_to_png(still_spec(experiment, view), scale=SCALE))
