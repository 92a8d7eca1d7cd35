"""The look that all charts share: colours per arm, type, and a white ground so that a chart reads on any page.

Colours are Okabe and Ito's (2008), which people with any common colour vision can tell apart, and a brown that stays
apart from them (their yellow does not show on white); arms differ in dash as well. Nothing is registered globally: each
chart is handed its configuration.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import altair as alt

WIDTH = 620  # of a single plot: with its axis, legend and padding it fits a notebook 720 px wide
READABLE = 4.5  # least contrast of a text with the ground, by WCAG 2, level AA
LETTERS = 104  # of a line below a title that is as wide as a plot
INK, SOFT, FAINT, GROUND = "#222222", "#5f5f5f", "#e4e4e4", "#ffffff"
SCHEME = "viridis"  # for surfaces: even in lightness, and the same for every colour vision
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333", "#773300")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2), (4, 2), (10, 3), (4, 2, 1, 2), (3, 3))  # one for each colour


@dataclass(frozen=True)
class Arm:
    """How an arm is drawn and called."""

    colour: str
    words: str
    dash: tuple[int, ...]


ARMS = {
    "found": Arm("#D55E00", "found by search", (1, 0)),
    "random": Arm("#0072B2", "random (mean of all drawn)", (6, 3)),
    "first": Arm("#009E73", "first one drawn", (2, 2)),
    "dense": Arm("#333333", "dense parent", (8, 2, 2, 2)),
    "private": Arm("#CC79A7", "dense, at this epsilon", (4, 2)),
    "private-random": Arm("#E69F00", "first one drawn, at this epsilon", (4, 2, 1, 2)),
    "random-nodes": Arm("#0072B2", "random mask over nodes", (6, 3)),
    "random-weights": Arm("#56B4E9", "random mask over weights", (3, 3)),
    "small": Arm("#E69F00", "equally small dense net", (10, 3)),
    "chosen": Arm("#D55E00", "chosen privately among K", (1, 0)),  # all arms chosen-K
    "repeats": Arm("#CC79A7", "best of a random number of runs", (2, 2)),
    "simulated": Arm("#773300", "simulated with small batches", (4, 2)),
    "synthetic": Arm("#D55E00", "queries of the tuned model", (1, 0)),
    "direct": Arm("#0072B2", "DP-direct", (6, 3)),
    "direct-warm": Arm("#56B4E9", "DP-direct, warm start", (3, 3)),
    "logit": Arm("#CC79A7", "Logit-DP", (4, 2, 1, 2)),
    "untuned": Arm("#E69F00", "queries of the untuned model", (10, 3)),
    "real": Arm("#333333", "real queries, not private", (8, 2, 2, 2)),
    "untrained": Arm("#773300", "untrained encoder", (2, 2)),
    "dpsgd": Arm("#333333", "DP-SGD, dense", (8, 2, 2, 2)),
    "fest": Arm("#0072B2", "DP-FEST", (6, 3)),
    "adafest": Arm("#D55E00", "DP-AdaFEST", (1, 0)),
    "adafest_plus": Arm("#CC79A7", "DP-AdaFEST+", (4, 2)),
    "lazydp": Arm("#773300", "LazyDP", (2, 2)),
    "all": Arm("#333333", "all weights", (8, 2, 2, 2)),
    "head": Arm("#773300", "head only", (2, 2)),
    "head_norm": Arm("#56B4E9", "head and norms", (4, 2)),
    "bias": Arm("#CC79A7", "biases only", (3, 3)),
    "lora": Arm("#E69F00", "LoRA", (10, 3)),
    "random-rows": Arm("#0072B2", "random rows", (6, 3)),
    "magnitude": Arm("#009E73", "largest public rows", (4, 2, 1, 2)),
    "search": Arm("#550077", "search over masks", (4, 2)),
    "sparta": Arm("#D55E00", "SPARTA, |sum|", (1, 0)),
    "sparta_abs": Arm("#E69F00", "SPARTA, sum of | |", (6, 2, 1, 2)),
    "sparta_noisy": Arm("#CC79A7", "SPARTA, |sum + noise|", (2, 2)),
    "sparta_norm": Arm("#009E73", "SPARTA, row norms", (3, 3)),
    "clipped": Arm("#E69F00", "clipped, no noise", (10, 3)),
    "plain": Arm("#009E73", "plain, not private", (3, 3)),
}

AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart, alt.ConcatChart, alt.VConcatChart, alt.HConcatChart)


def contrast(colour: str) -> float:
    """The contrast of a colour with the ground, by WCAG 2: 4.5 and more can be read, 21 is black on white."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


@functools.cache
def ink(colour: str) -> str:
    """The lightest shade of a colour in which a text can be read: a line is seen in colours that are too light for it.

    Args:
        colour: as `#rrggbb`.
    """
    channels = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    shades = ("#" + "".join(f"{channel * part // 256:02X}" for channel in channels) for part in range(256, -1, -4))
    return next(shade for shade in shades if contrast(shade) >= READABLE)


def arm(name: str) -> Arm:
    """How an arm is drawn, chosen-K as `chosen`; one that is not in `ARMS` takes a colour by its name's letters."""
    known = ARMS.get("chosen" if name.startswith("chosen-") else name)
    return known or Arm(PALETTE[sum(name.encode()) % len(PALETTE)], name, (4, 2))


def in_order(arms: Iterable[str]) -> list[str]:
    """The arms without repeats: those of `ARMS` first, in its order."""
    found = list(dict.fromkeys(arms))
    return [name for name in ARMS if name in found] + sorted(name for name in found if name not in ARMS)


def arm_colour(arms: Iterable[str], *, legend: bool = True) -> alt.Color:
    """The colour channel of the field `arm`."""
    names = in_order(arms)
    scale = alt.Scale(domain=names, range=[arm(name).colour for name in names])
    return alt.Color("arm:N", title=None, scale=scale, legend=_legend(names) if legend else None)


def arm_dash(arms: Iterable[str], *, legend: bool = True) -> alt.StrokeDash:
    """The dash channel of the field `arm`; its legend is the colour's."""
    names = in_order(arms)
    scale = alt.Scale(domain=names, range=[list(arm(name).dash) for name in names])
    return alt.StrokeDash("arm:N", title=None, scale=scale, legend=_legend(names) if legend else None)


def _legend(names: Sequence[str]) -> alt.Legend:
    words = ", ".join(f"'{name}': '{arm(name).words}'" for name in names)
    return alt.Legend(
        labelExpr=f"{{{words}}}[datum.label]",
        symbolType="stroke",
        symbolStrokeWidth=2.5,
        symbolSize=300,
        symbolOpacity=1,
        columns=3 if len(names) > 4 else alt.Undefined,  # in one row they would be wider than the plot
    )


def titled(text: str, *lines: str, width: int = LETTERS) -> alt.TitleParams:
    """A chart's title with what else must be known below it, wrapped to the width of a notebook."""
    below = [part for line in lines if line for part in textwrap.wrap(line, width)]
    return alt.TitleParams(text=text, subtitle=below)


def panel_title(text: str) -> alt.TitleParams:
    """The title of one panel of several."""
    return alt.TitleParams(text=text, fontSize=12, fontWeight=600, offset=6)


def themed(chart: AnyChart, above: int = 6) -> AnyChart:
    """The chart with the shared look; to be called once, on the outermost chart.

    Args:
        chart: without a configuration.
        above: px from a plot to its legend; words above a plot need some.
    """
    font = "Helvetica Neue, Helvetica, Arial, sans-serif"
    return chart.configure(
        background=GROUND,
        padding=12,
        font=font,
        view=alt.ViewConfig(stroke=None),
        title=alt.TitleConfig(
            anchor="start",
            frame="group",
            fontSize=16,
            fontWeight=600,
            color=INK,
            subtitleColor=SOFT,
            subtitleFontSize=12,
            subtitleLineHeight=16,
            subtitlePadding=5,
            offset=14,
        ),
        axis=alt.AxisConfig(
            labelColor=SOFT,
            titleColor=INK,
            labelFontSize=11,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=8,
            gridColor=FAINT,
            domainColor="#9a9a9a",
            tickColor="#9a9a9a",
            tickSize=4,
        ),
        axisY=alt.AxisConfig(domain=False, ticks=False, labelPadding=6),
        legend=alt.LegendConfig(
            orient="top",
            direction="horizontal",
            labelFontSize=12,
            labelColor=INK,
            labelLimit=260,
            titleFontSize=12,
            titleFontWeight="normal",
            titleColor=INK,
            offset=above,
            columnPadding=16,
        ),
        header=alt.HeaderConfig(labelFontSize=12, labelFontWeight=600, labelColor=INK),
    )


def waiting(text: str, why: str) -> alt.Chart:
    """A frame in place of a chart that has nothing to draw yet."""
    blank = alt.Chart(alt.InlineData(values=[{"why": why}]), width=WIDTH, height=120)
    mark = blank.mark_text(color=SOFT, fontSize=13, fontStyle="italic").encode(text="why:N")
    return themed(mark.properties(title=titled(text), view=alt.ViewBackground(stroke=FAINT)))
