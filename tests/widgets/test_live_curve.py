"""The live chart's axes, colours and words, looked at in the drawing."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import altair as alt
import pytest
import vl_convert
from fake_experiment import FakeSpec

from labkit import experiments
from labkit.charts.finetune_rows import drawn_arm
from labkit.charts.theme import ARMS
from labkit.runs.experiment import Experiment
from labkit.spec import Spec
from widgets.live_curve import live_curve


def drawn(experiment: Experiment, spec: Spec, *rows: dict[str, Any]) -> str:
    """The chart with these rows, as SVG."""
    chart = live_curve(experiment, spec).properties(data=alt.InlineData(values=list(rows), name="points"), width=600)
    return vl_convert.vegalite_to_svg(chart.to_json())


def x_axis(svg: str) -> str:
    """From where to where the horizontal axis goes, as the drawing says."""
    (said,) = re.findall(r'"X-axis [^"]* with values from ([^"]+)"', svg)
    return said


def row(step: int, arm: str = "all", **more: Any) -> dict[str, Any]:
    accuracies = {"selection_accuracy": 0.5, "selection_auc": 0.5, "selection_loss": 0.5}
    return {"arm": arm, "step": step, "name": "aaaa", "seed": 0} | accuracies | more


@pytest.mark.parametrize("key", ["03", "04", "05"])
def test_an_axis_ends_where_the_training_will(key: str) -> None:
    experiment = experiments.get(key)
    spec = experiment.spec.of()
    for rows in ([row(10, steps=40)], [row(10, steps=40), row(40, steps=40)]):
        assert x_axis(drawn(experiment, spec, *rows)) == "0 to 40"
    assert x_axis(drawn(experiment, spec, row(10), row(30))) == "0 to 30"  # an older store's rows do not tell
    assert x_axis(drawn(experiment, spec)) == "0.0 to 1.0"


def test_an_axis_ends_where_the_spec_says() -> None:
    fake = SimpleNamespace(live={"series": "curve"})
    assert x_axis(drawn(fake, FakeSpec.of(steps=80), row(10, steps=40))) == "0 to 80"


@pytest.mark.parametrize(
    ("key", "given", "arms"),
    [
        ("04", {"epsilon": "8,plain", "method": "adafest,fest", "vocabulary": "0"}, "dpsgd fest adafest plain"),
        ("05", {"method": "sparta,all"}, "all random-rows sparta"),
        ("05", {"method": "lora,random,magnitude"}, "lora random-rows magnitude"),
    ],
)
def test_colours_and_words_are_those_of_the_figures(key: str, given: dict[str, str], arms: str) -> None:
    experiment, arms = experiments.get(key), arms.split()
    rows = [row(step, arm, name=arm) for arm in arms for step in (1, 2)]
    svg = drawn(experiment, experiment.spec.of(**given), *rows)
    assert re.findall(
        r'stroke="(#\w+)"[^<]*</g><g class="mark-text role-legend-label"[^>]*><text[^>]*>([^<]+)<', svg
    ) == [(ARMS[arm].colour, ARMS[arm].words) for arm in arms]
    lines = re.findall(r'arm: ([^;]+);[^"]*"[^>]* aria-roledescription="line mark"[^>]* stroke="(#\w+)"', svg)
    assert sorted(lines) == sorted((arm, ARMS[arm].colour) for arm in arms)


def test_every_method_of_notebook_05_has_a_colour() -> None:
    spec = experiments.get("05").spec
    assert {drawn_arm(method) for method in spec.of().method} <= set(ARMS)
