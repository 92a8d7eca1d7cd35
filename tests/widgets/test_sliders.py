"""Where sliders end, and where they stop."""

from __future__ import annotations

import math

import ipywidgets as W
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.spec import Control, Spec, control
from widgets import sliders
from widgets.parts import Parts

SHARE = Control(name="sparsity", ge=0, lt=1, presets={"quick": 0.9}, low="dense", high="almost empty")
BUDGET = Control(
    name="budget", kind="int", ge=1, le=100_000, presets={"quick": 64}, low="one draw", high="a long search"
)
ROWS = Control(name="rows", kind="int", ge=0, le=10**6, presets={"quick": "0,1000"}, log=True, grid=True)
EPSILON = Control(name="epsilon", gt=0, presets={"quick": "0.5,8,plain"}, words=("plain",), log=True, grid=True)


@pytest.mark.parametrize(
    ("item", "ends", "log"),
    [
        (SHARE, (0, 0.99), False),
        (BUDGET, (1, 100_000), True),  # a thousandfold range needs a log scale, asked for or not
        (Control(name="width", kind="int", ge=1, le=512, presets={"quick": 64}, low="a", high="b"), (1, 512), False),
        (Control(name="rate", gt=0, le=1, presets={"quick": 0.1}, log=True), (0.001, 1), True),
        (EPSILON, (0.005, 800), True),  # no upper bound: a hundred times the largest preset; words are no numbers
        (ROWS, (10, 10**6), True),  # 0, which means all of them, has no place on a log scale
        (Control(name="count", kind="int", gt=0, lt=10, presets={"quick": 3}, low="a"), (1, 9), False),
    ],
    ids=lambda value: value.name if isinstance(value, Control) else None,
)
def test_ends_and_scale_by_hand(item: Control, ends: tuple[float, float], log: bool) -> None:
    assert sliders.ends(item) == pytest.approx(ends)
    assert sliders.is_log(item) is log
    assert isinstance(sliders.slider(item, Parts()), W.FloatLogSlider if log else W.FloatSlider)


@pytest.mark.parametrize(
    ("item", "position", "value"),
    [
        (SHARE, 0.899999, 0.9),
        (SHARE, 0.995, 0.99),
        (BUDGET, 63.09, 63),
        (BUDGET, 1234.0, 1200),
        (EPSILON, 0.0314159, 0.031),
    ],
)
def test_stops_by_hand(item: Control, position: float, value: float) -> None:
    assert sliders.stop(item, position) == value
    assert type(sliders.stop(item, position)) is (int if item.kind == "int" else float)


@pytest.mark.parametrize(
    "item",
    [
        Control(name="data", kind="str", presets={"quick": "digits"}, low="a"),
        Control(name="rescale", kind="bool", presets={"quick": True}, low="a"),
        Control(name="seed", kind="int", ge=0, lt=2**31, presets={"quick": 0}),  # a seed has no more and no less
    ],
)
def test_other_parameters_have_no_slider(item: Control) -> None:
    assert sliders.slider(item, Parts()) is None


class Wide(Spec):
    sparsity: float = control(0.9, help="share", ge=0, lt=1, low="dense", high="almost empty")
    budget: int = control(64, 1000, help="candidates", ge=1, le=100_000, log=True)
    rate: float = control(0.1, help="learning rate", gt=0, le=1, log=True)
    width: int = control(64, help="hidden units", ge=1, le=4096, low="narrow", high="wide")


@given(st.sampled_from(["sparsity", "budget", "rate", "width", "seeds"]), st.floats(0, 1))
def test_wherever_a_slider_is_let_go_the_spec_takes_it(name: str, share: float) -> None:
    item = Wide.controls()[name]
    low, high = sliders.ends(item)
    position = low * (high / low) ** share if sliders.is_log(item) else low + share * (high - low)
    value = sliders.stop(item, position)
    assert getattr(Wide.of(**{name: value}), name) == value
    assert math.isclose(value, position, rel_tol=0.06, abs_tol=sliders.linear_step(item))
