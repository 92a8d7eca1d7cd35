"""The main chart: how much smaller the gradient is, against what is lost of AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.embeddings_panels import bounded
from labkit.charts.embeddings_picks import MARGINS, losses, means, picks, seed_counts
from labkit.charts.embeddings_rows import BASELINE, METHODS, epsilons, factor, sampling_words, usual, usual_words
from labkit.charts.epsilons import in_words
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm, arm_colour, in_order, panel_title, themed, titled, waiting
from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View

REDUCTION = "How much of the gradient must be noised at all?"
LOST = "loss of AUC to DP-SGD"
PLOT = WIDTH - 34  # px; the margins are named to the right of it


def reduction(view: View) -> alt.VConcatChart | alt.Chart:
    """The loss of AUC to DP-SGD of the same seed against the reduction of the gradient, a panel for each epsilon.

    A mark is a configuration: its mean loss with a 95 % paired t interval over seeds. The baseline stands at 1 and 0.
    Ringed: the configurations that selection data pick as the largest reduction within the margins.
    """
    rows = usual(view.results())
    marks = _marks(rows)
    if not marks:
        return waiting(REDUCTION, NOTHING)
    scale, cut = bounded(marks, (-0.2 * MARGINS[0], 1.25 * MARGINS[-1]))
    x = _x([mark["reduction"] for mark in marks])
    arms = in_order([BASELINE, *(mark["arm"] for mark in marks)])
    shown = [epsilon for epsilon in epsilons(rows) if any(mark["epsilon"] == epsilon for mark in marks)]
    panels = [
        _panel([mark for mark in marks if mark["epsilon"] == epsilon], x, scale, arms, last=epsilon == shown[-1])
        .properties(title=panel_title(in_words(epsilon)))
        for epsilon in shown
    ]  # fmt: skip
    low, high = seed_counts(losses(rows))
    lost = len(losses(rows)) - len(marks)
    text = titled(
        REDUCTION,
        usual_words(view, rows),
        _seeds(low, high) + (f"; {cut}" if cut else ""),
        "ringed: picked on selection data, the largest reduction within a loss of 0.005 or 0.01" if high > 1 else "",
        "LazyDP is DP-SGD in distribution: its noise is only late, which saves time and no noise"
        if "lazydp" in arms
        else "",
        f"not drawn: {lost} without a pair yet or without any surviving row" if lost else "",
        sampling_words(rows),
    )
    return themed(alt.vconcat(*panels, spacing=14).properties(title=text))


def _marks(rows: Sequence[Row]) -> list[dict[str, Any]]:
    gained, ringed = means(rows, "reduction"), _ringed(rows)
    marks = []
    for key, held in losses(rows).items():
        if not held or gained.get(key, 0.0) <= 0:
            continue
        place, configuration = key
        lost = list(held.values())
        mark = {"epsilon": place.epsilon, "arm": configuration.method, "words": configuration.words, "n": len(lost)}
        mark |= {"reduction": gained[key], "said": factor(gained[key]), "mean": float(np.mean(lost))}
        if len(lost) > 1:
            mark["low"], mark["high"] = mean_interval(lost)
        marks.append(mark | {"picked": key in ringed})
    return sorted(marks, key=lambda mark: METHODS.index(mark["arm"]) if mark["arm"] in METHODS else len(METHODS))


def _ringed(rows: Sequence[Row]) -> set[Any]:
    return {(place, c) for (place, _), found in picks(rows).items() for c in found.within.values() if c}


def _seeds(low: int, high: int) -> str:
    if high < 2:
        return "one seed: points without intervals"
    seeds = f"{high} seeds" if low == high else f"{low} to {high} seeds"
    alone = "; where there is one seed, none" if low == 1 else ""
    return f"mean of {seeds}, paired with DP-SGD's; bar: 95 % paired t interval{alone}"


def _x(reductions: Sequence[float]) -> alt.X:
    low, high = min([1.0, *reductions]), max([10.0, *reductions])
    powers = [10.0**i for i in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    return alt.X(
        "reduction:Q",
        title="the gradient is smaller by a factor of (log scale)",
        scale=alt.Scale(type="log", domain=[0.8 * low, 1.4 * high], nice=False),
        axis=alt.Axis(values=powers, format=",~g", grid=False),
    )


def _panel(marks: Sequence[Row], x: alt.X, scale: alt.Scale, arms: Sequence[str], *, last: bool) -> alt.LayerChart:
    x = x.copy()
    if not last:
        x["title"] = None

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=LOST, scale=scale, axis=alt.Axis(format=".3~f", tickCount=6))

    margins = alt.Chart(values([{"at": margin, "said": f"{margin:g}"} for margin in MARGINS]))
    base = alt.Chart(values(marks)).encode(x=x, color=arm_colour(arms))
    zero = alt.Chart(values([{"reduction": 1.0, "mean": 0.0, "arm": BASELINE, "words": arm(BASELINE).words}]))
    told = ["arm:N", "words:N", alt.Tooltip("said:N", title="reduction"), "n:Q"]
    told += [alt.Tooltip(f"{end}:Q", format="+.4f") for end in ("mean", "low", "high")]
    layers = [
        margins.mark_rule(color=SOFT, strokeDash=[5, 4]).encode(y=y("at")),
        *(
            margins.transform_filter(f"datum.at == {margin}")
            .mark_text(align="left", baseline=side, dx=4, dy=nudge, fontSize=10.5, color=SOFT)
            .encode(y=y("at"), x=alt.value(PLOT), text="said:N")
            for margin, side, nudge in ((MARGINS[0], "top", -2), (MARGINS[-1], "bottom", 2))
        ),
        zero.mark_rule(color=INK, opacity=0.4).encode(y=y("mean")),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.6, opacity=0.6, clip=True).encode(
            y=y("low"), y2="high:Q"
        ),
        base.transform_filter("datum.picked").mark_point(size=190, strokeWidth=1.6, opacity=1).encode(y=y("mean")),
        base.mark_point(filled=True, size=58, opacity=0.95).encode(y=y("mean"), tooltip=told),
        zero.mark_point(filled=True, size=80, opacity=1, shape="diamond").encode(
            x=x, y=y("mean"), color=arm_colour(arms)
        ),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=PLOT, height=190)
