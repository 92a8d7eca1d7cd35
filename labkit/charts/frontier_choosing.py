"""What a choice is worth once it is paid for: private selection among K masks and private repeats, at equal epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import called, few, in_words
from labkit.charts.frontier_map import zone
from labkit.charts.frontier_rows import (
    cell,
    families,
    family_words,
    judged,
    removed,
    usual,
    verdict_colour,
    verdict_legend,
)
from labkit.charts.rows import padded, values
from labkit.charts.theme import WIDTH, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

CHOOSING = "Does a choice pay for itself?"
HIDDEN = "no finished run yet; candidates that lose stay hidden while it runs, or the accounting would not hold"


def choosing(view: View) -> alt.ConcatChart | alt.Chart:
    """Difference in test accuracy against the number of candidates K: chosen-K minus random, and repeats at its mean K.

    A panel for each of at most four epsilons, at the sparsity nearest 0.9; the verdicts are those of the whole family.
    """
    results = view.results()
    found = judged(view, families(view)["choosing"])
    counts = {(row["epsilon"], row["arm"]): row["candidates"] for row in results if "candidates" in row}
    known = [c for c in found if c.verdict.mean is not None and (c.fields["epsilon"], c.one) in counts]
    place = usual([c.fields for c in known])
    if place is None:
        return waiting(CHOOSING, HIDDEN)
    here = [c for c in known if (c.fields["sparsity"], c.fields["space"]) == place]
    margin = view.spec.margin
    table = [
        cell(c)
        | {"k": counts[c.fields["epsilon"], c.one], "kind": "repeats" if c.one == "repeats" else "chosen"}
        | {"said": c.verdict.word.replace(" by ", " by\n"), "epsilon": called(c.fields["epsilon"])}
        for c in here
    ]
    for entry in table:
        entry["top"] = entry.get("high", entry["mean"])
    ends = [entry[end] for entry in table for end in ("mean", "low", "high") if end in entry]
    low, high = padded([*ends, -1.5 * margin, 1.5 * margin])
    scale = alt.Scale(domain=[low, high + 0.12 * (high - low)], nice=False)  # words stand above the bars
    epsilons = few((c.fields["epsilon"] for c in here), 4)
    size = (WIDTH, 260) if len(epsilons) == 1 else (WIDTH // 2 - 34, 190)
    panels = [
        _panel([e for e in table if e["epsilon"] == called(epsilon)], margin, scale, *size).properties(
            title=panel_title(in_words(epsilon))
        )
        for epsilon in epsilons
    ]
    text = titled(
        CHOOSING,
        "chosen minus one random draw at equal total epsilon; the draw is free and spends all of it on training",
        family_words(found),
        "circles: one of K masks, chosen by its noisy loss; diamonds: best of a random number of runs",
        f"{removed(*place)}; grey zone: the margin of {margin:g}",
    )
    return themed(alt.concat(*panels, columns=2, spacing=18).properties(title=text))


def _panel(table: Sequence[dict[str, Any]], margin: float, scale: alt.Scale, width: int, height: int) -> alt.LayerChart:
    ticks = sorted({entry["k"] for entry in table})
    x = alt.X(
        "k:Q", title="K: candidates, or mean number of runs",
        scale=alt.Scale(type="log", nice=False, padding=40),
        axis=alt.Axis(values=ticks, format=",~f", grid=False),
    )  # fmt: skip
    y = alt.Y("mean:Q", title="difference in accuracy", scale=scale, axis=alt.Axis(format="+.3~f", tickCount=5))
    colour = verdict_colour(legend=verdict_legend())
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=["chosen", "repeats"], range=["circle", "diamond"]), legend=None)
    layers: list[alt.Chart] = zone(margin, scale)
    for kind, dx in (("chosen", 0), ("repeats", 16)):
        base = alt.Chart(values([entry for entry in table if entry["kind"] == kind])).encode(x=x, color=colour)
        rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5, opacity=0.8, xOffset=dx)
        dot = base.mark_point(filled=True, size=80, opacity=1, xOffset=dx)
        text = base.mark_text(
            fontSize=10.5, baseline="bottom", dy=-13, dx=dx, lineBreak="\n", lineHeight=11, align="center"
        )
        layers += [
            rule.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
            dot.encode(y=y, shape=shape, tooltip=["one:N", alt.Tooltip("mean:Q", format="+.4f"), "text:N"]),
            text.encode(y=alt.Y("top:Q", scale=scale), text="said:N"),
        ]
    return alt.layer(*layers).properties(width=width, height=height)
