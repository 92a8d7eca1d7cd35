"""Which slider suits a parameter: its ends, its scale and the values it stops at."""

from __future__ import annotations

import math

import ipywidgets as W

from labkit.spec import Control
from widgets.parts import Parts

WIDE = 1000  # ends whose ratio reaches this are too far apart for a linear scale

Slider = W.FloatSlider | W.FloatLogSlider


def slider(item: Control, parts: Parts) -> Slider | None:
    """The slider of a number whose ends have words or whose scale is a log scale; None for any other parameter.

    Args:
        parts: what makes it.
    """
    if item.kind not in ("int", "float") or not (item.low or item.high or item.log):
        return None
    low, high = ends(item)
    # The page would answer every value set here by the stop nearest to it, were updates continuous: 0.9123 would
    # turn into 0.91 by itself.
    if is_log(item):
        low, high = math.log10(low), math.log10(high)
        step = (high - low) / 200
        return parts(W.FloatLogSlider, min=low, max=high, step=step, readout_format=".2r", continuous_update=False)
    step = linear_step(item)
    decimals = max(0, -round(math.log10(step)))
    digits = f".{decimals}f"
    return parts(W.FloatSlider, min=low, max=high, step=step, readout_format=digits, continuous_update=False)


def stop(item: Control, position: float) -> int | float:
    """The allowed value nearest to where a slider was let go: two digits on a log scale, a step on a linear one."""
    low, high = ends(item)
    if is_log(item):
        value = float(f"{position:.2g}")
    else:
        step = linear_step(item)
        value = float(f"{round(position / step) * step:.6g}")
    value = min(max(value, low), high)
    return round(value) if item.kind == "int" else value


def ends(item: Control) -> tuple[float, float]:
    """The lowest and the highest value on the slider; where the Spec sets no bound, a wide margin about the presets."""
    usual = [number for preset in item.presets.values() for number in _numbers(item, preset)]
    low = item.ge if item.gt is None else item.gt
    high = item.le if item.lt is None else item.lt
    if high is None:
        high = 100 * max(usual)
    elif item.le is None:  # the bound itself is outside
        high -= 1 if item.kind == "int" else (high - (low or 0)) / 100
    if low is None or (item.log and low <= 0):
        low = min(number for number in usual if number > 0) / 100 if item.log else 0
    elif item.ge is None:
        low += 1 if item.kind == "int" else (high - low) / 100
    return float(low), float(high)


def is_log(item: Control) -> bool:
    """Whether the slider has a log scale: the Spec asks for it, or its ends lie a thousandfold apart."""
    low, high = ends(item)
    return item.log or (low > 0 and high / low >= WIDE)


def linear_step(item: Control) -> float:
    """One for whole numbers, else the power of ten nearest to a hundredth of the range."""
    if item.kind == "int":
        return 1.0
    low, high = ends(item)
    return 10.0 ** round(math.log10((high - low) / 100))


def label(item: Control) -> str:
    """The parameter's name as a reader sees it."""
    return item.name.replace("_", " ")


def _numbers(item: Control, value: object) -> list[float]:
    parsed = item.parse(value)
    return [number for number in (parsed if isinstance(parsed, tuple) else (parsed,)) if not isinstance(number, str)]
