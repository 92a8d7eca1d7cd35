"""Paired differences with their intervals, the margin and the verdict in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.rows import NOTHING, padded, values
from labkit.charts.theme import INK, SOFT, WIDTH, panel_title, themed, titled
from labkit.verdicts import Comparison, comparisons, words

if TYPE_CHECKING:
    from labkit.runs.view import View

# Darker than the arms': a verdict's word is written in its colour.
COLOURS = {"better": "#00664A", "worse": "#C25600", "no difference": "#0072B2", "undecided": "#757575"}
CALLED = {"found": "found", "random": "random", "dense": "dense parent"}


def difference_by_sparsity(view: View) -> alt.VConcatChart:
    """For each pair of arms a row per grid point: mean difference, interval, the margin as a grey zone, the verdict."""
    judged, margin = comparisons(view), view.spec.margin
    cells = [row(view, c) for c in judged]
    ends = [row[end] for row in cells for end in ("mean", "low", "high") if end in row]
    domain = padded([*ends, -1.5 * margin, 1.5 * margin])
    pairs = list(dict.fromkeys((c.one, c.other) for c in judged))
    missing = [{"where": words(shown(view, gone)), "text": gone["why"]} for gone in view.impossible()]
    panels = [_panel([r for r in cells if r["pair"] == pair], missing, pair, margin, domain) for pair in pairs]
    counts = {c.verdict.n for c in judged if c.verdict.n}
    seeds = (
        f"{min(counts)} to {max(counts)} paired seeds" if len(counts) > 1 else f"{max(counts, default=0)} paired seeds"
    )
    level = f"{100 * max((c.verdict.level for c in judged), default=0.95):.4g} % t intervals"
    text = titled(
        "Differences in test accuracy, pair by pair",
        f"{seeds}, {level}; verdicts corrected by Holm over all rows" if counts else NOTHING,
        f"grey zone: the margin of {margin:g}, fixed before the run",
    )
    return themed(alt.vconcat(*panels, spacing=18).properties(title=text))


def shown(view: View, fields: dict[str, Any]) -> dict[str, Any]:
    """The grid fields worth naming: those with more than one value, and sparsity."""
    return {
        n: fields[n] for n in view.fields(view.spec.points()[0]) if n == "sparsity" or len(getattr(view.spec, n)) > 1
    }


def row(view: View, c: Comparison) -> dict[str, Any]:
    """A comparison as a chart embeds it; what is not known yet is left out."""
    v = c.verdict
    known = {"mean": v.mean, "low": v.low, "high": v.high}
    made = {"where": words(shown(view, c.fields)), "pair": (c.one, c.other), "word": v.word, "text": v.word, "n": v.n}
    return made | {name: number for name, number in known.items() if number is not None}


def _panel(
    cells: list[dict], missing: list[dict], pair: tuple[str, str], margin: float, domain: list[float]
) -> alt.LayerChart:
    order = [cell["where"] for cell in cells] + [gone["where"] for gone in missing]
    y = alt.Y("where:N", title=None, sort=order, axis=alt.Axis(labelLimit=240, labelFontSize=12, labelColor=INK))
    x = alt.X(
        "mean:Q",
        title="difference in test accuracy",
        scale=alt.Scale(domain=domain, nice=False),
        axis=alt.Axis(format="+.3~f"),
    )
    words_drawn = list(COLOURS)
    scale = alt.Scale(
        domain=[*words_drawn, "better by less than m", "worse by less than m"],
        range=[*COLOURS.values(), COLOURS["better"], COLOURS["worse"]],
    )
    colour = alt.Color("word:N", scale=scale, legend=None)
    base = alt.Chart(
        values([cell | {"pair": " - ".join(cell["pair"])} for cell in cells]), width=WIDTH - 300, height=alt.Step(24)
    )
    zone = (
        alt.Chart(values([{"from": -margin, "to": margin}]))
        .mark_rect(color="#000000", opacity=0.07)
        .encode(x=alt.X("from:Q", title=None), x2="to:Q")
    )
    zero = alt.Chart(values([{"at": 0}])).mark_rule(color=SOFT, strokeDash=[3, 3]).encode(x="at:Q")
    rule = (
        base.transform_filter("isValid(datum.low)")
        .mark_rule(strokeWidth=3)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=colour)
    )
    dot = (
        base.transform_filter("isValid(datum.mean)")
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=x,
            y=y,
            color=colour,
            tooltip=["where:N", "pair:N", alt.Tooltip("mean:Q", format="+.4f"), "low:Q", "high:Q", "n:Q", "word:N"],
        )
    )
    said = base.mark_text(align="left", fontSize=12, dx=8).encode(
        x=alt.value(WIDTH - 300), y=y, text="text:N", color=colour
    )
    gone = alt.Chart(values(missing)).mark_text(
        align="left", fontSize=11, fontStyle="italic", color=SOFT, limit=WIDTH - 200
    )
    layers = [zone, zero, rule, dot, said, gone.encode(x=alt.value(6), y=y, text="text:N")]
    title = panel_title(f"{CALLED.get(pair[0], pair[0])} minus {CALLED.get(pair[1], pair[1])}")
    return alt.layer(*layers).properties(title=title)
