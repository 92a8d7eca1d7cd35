"""Differences of random masks from the dense parent: over sparsity and epsilon, and under a shared learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import Places, called, is_number, ordered
from labkit.charts.frontier_rows import (
    REMOVED,
    cell,
    families,
    family_words,
    judged,
    removed,
    signed,
    spaces,
    sparse,
    verdict_colour,
    verdict_legend,
    word_lines,
)
from labkit.charts.rows import NOTHING, padded, percent, values
from labkit.charts.theme import FAINT, INK, SOFT, WIDTH, panel_title, themed, titled, waiting
from labkit.verdicts import Comparison

if TYPE_CHECKING:
    from labkit.runs.view import View

MAP = "Random mask minus dense parent, at equal epsilon"
BOTH = "The same comparison with a shared and with a tuned learning rate"
UNSURE = 0.35  # opacity of a cell without a verdict: its colour shall not look like a finding


def privacy_map(view: View) -> alt.VConcatChart | alt.Chart:
    """Mean difference in test accuracy at each sparsity (down) and epsilon (across), with its verdict in the cell.

    The whole map is one family of Holm's; cells without a verdict are pale.
    """
    found = judged(view, families(view)["parent"])
    cells = [_tile(c) for c in found]
    if not any("mean" in tile for tile in cells):
        return waiting(MAP, NOTHING)
    margin = view.spec.margin
    limit = max([2 * margin] + [abs(tile["mean"]) for tile in cells if "mean" in tile])
    for tile in cells:
        strong = abs(tile.get("mean", 0)) > 0.6 * limit and tile["sure"] == 1
        tile["ink"] = "#ffffff" if strong else INK
    epsilons = ordered(c.fields["epsilon"] for c in found)
    across = spaces(cells)
    panels = [
        _heat([tile for tile in cells if tile["space"] == space], epsilons, limit, legend=space == across[-1])
        .properties(title=panel_title(f"share of {REMOVED[space]}"))
        for space in across
    ]  # fmt: skip
    words = "clipped and plain are not private" if any(not is_number(epsilon) for epsilon in epsilons) else ""
    text = titled(
        MAP,
        family_words(found),
        f"no difference: less than the margin of {margin:g}, fixed before the run; pale: undecided",
        words,
    )
    return themed(alt.vconcat(*panels, spacing=16).properties(title=text))


def _tile(c: Comparison) -> dict[str, Any]:
    tile = cell(c)
    decided = tile["word"] != "undecided"
    number = signed(tile["mean"]) if "mean" in tile else ""
    said = word_lines(tile["word"]) if number else "no run yet"
    return tile | {"row": percent(tile["sparsity"]), "sure": 1 if decided else UNSURE, "number": number, "said": said}


def _heat(tiles: Sequence[dict[str, Any]], epsilons: Sequence[Any], limit: float, *, legend: bool) -> alt.LayerChart:
    columns, rows = [called(epsilon) for epsilon in epsilons], sparse(tiles)
    side = min(104, (WIDTH - 20) / max(len(columns), 1))
    x = alt.X(
        "epsilon:N", sort=columns, title="epsilon", scale=alt.Scale(padding=0.03),
        axis=alt.Axis(labelAngle=0, ticks=False)
    )  # fmt: skip
    y = alt.Y(
        "row:N", sort=[percent(s) for s in rows], title=None, scale=alt.Scale(padding=0.03),
        axis=alt.Axis(labelFontSize=12, labelColor=INK),
    )  # fmt: skip
    base = alt.Chart(values(tiles)).encode(x=x, y=y)
    shades = alt.Scale(scheme="brownbluegreen", domain=[-limit, limit], domainMid=0)
    told = alt.Legend(title="mean difference in test accuracy", format="+.2~f", gradientLength=220, orient="bottom")
    tile = base.transform_filter("isValid(datum.mean)").mark_rect(stroke=FAINT, strokeWidth=0.5)
    tile = tile.encode(
        color=alt.Color("mean:Q", scale=shades, legend=told if legend else None),
        opacity=alt.Opacity("sure:Q", scale=None),
        tooltip=["epsilon:N", "row:N", alt.Tooltip("mean:Q", format="+.4f"), "low:Q", "high:Q", "n:Q", "text:N"],
    )
    nothing = base.transform_filter("!isValid(datum.mean)").mark_rect(fill=None, stroke=FAINT)
    ink = alt.Color("ink:N", scale=None)
    number = base.mark_text(fontSize=12, fontWeight=600, dy=-10).encode(text="number:N", color=ink)
    small = 11 if side >= 64 else 9
    said = base.mark_text(fontSize=small, dy=4, lineBreak="\n", lineHeight=small + 1).encode(text="said:N", color=ink)
    layers = alt.layer(nothing, tile, number, said).resolve_scale(color="independent")
    return layers.properties(width=alt.Step(side), height=alt.Step(50))


def tuned_and_shared(view: View) -> alt.ConcatChart | alt.Chart:
    """Random mask minus dense parent twice at each epsilon: where both train with the dense parent's learning rate, and
    where each has its own. A gain that only the first shows is a gain of the learning rate."""
    if not any("test_accuracy_shared" in row for row in view.results()):
        tuned = getattr(view.spec, "learning_rate", "tuned") == "tuned"
        return waiting(
            BOTH, NOTHING if tuned else "learning rates are not tuned in this run: there is nothing to compare"
        )
    family = families(view)["parent"]
    tuned, shared = judged(view, family), judged(view, family, "test_accuracy_shared")
    cells = [cell(c) | {"rate": rate} for rate, found in (("shared", shared), ("tuned", tuned)) for c in found]
    places, margin = Places.of(c.fields["epsilon"] for c in tuned), view.spec.margin
    at = {called(epsilon): place for epsilon, place in places.at.items()}
    for entry in cells:
        entry["at"] = at[entry["epsilon"]] + (0.12 if entry["rate"] == "tuned" else -0.12) * places.step
    ends = [entry[end] for entry in cells for end in ("mean", "low", "high") if end in entry]
    scale = alt.Scale(domain=padded([*ends, -1.5 * margin, 1.5 * margin]), nice=False)
    kinds = {(entry["sparsity"], entry["space"]): None for entry in cells if "mean" in entry}
    order = sorted(kinds, key=lambda kind: (kind[1], kind[0]) if len(spaces(cells)) == 1 else kind)
    size = (WIDTH, 260) if len(kinds) == 1 else (WIDTH // 2 - 34, 150)
    panels = [
        _twice([e for e in cells if (e["sparsity"], e["space"]) == kind], places, scale, margin, *size).properties(
            title=panel_title(removed(*kind))
        )
        for kind in order
    ]
    text = titled(
        BOTH,
        _changed(tuned, shared),
        "hollow: the dense parent's learning rate, and clip norm where tuned, for both; filled: each arm's own",
        f"{family_words(tuned)} of each kind",
        f"grey zone: the margin of {margin:g}",
    )
    return themed(alt.concat(*panels, columns=2, spacing=18).properties(title=text))


def _changed(tuned: Sequence[Comparison], shared: Sequence[Comparison]) -> str:
    """What tuning does to the gains that a shared rate shows."""
    gains = [(a, b) for a, b in zip(shared, tuned, strict=True) if a.verdict.word.startswith("better")]
    if not gains:
        return "a shared learning rate shows no gain that is certain"
    lost = sum(not b.verdict.word.startswith("better") for _, b in gains)
    said = (
        f"a shared learning rate shows {len(gains)} certain gain{'s' * (len(gains) > 1)} in {len(shared)} comparisons"
    )
    return said + f"; once both arms are tuned, {lost or 'none'} of them {'is' if lost == 1 else 'are'} gone"


def _twice(
    cells: Sequence[dict[str, Any]], places: Places, scale: alt.Scale, margin: float, width: int, height: int
) -> alt.LayerChart:
    y = alt.Y("mean:Q", title="difference in accuracy", scale=scale, axis=alt.Axis(format="+.3~f", tickCount=5))
    colour = verdict_colour(legend=verdict_legend())
    base = alt.Chart(values(cells)).encode(x=places.x()).transform_filter("isValid(datum.mean)")
    joined = base.mark_line(color=SOFT, strokeWidth=1, opacity=0.6).encode(y=y, detail="epsilon:N")
    rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2, opacity=0.7)
    rule = rule.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q", color=colour)
    told = ["epsilon:N", "rate:N", alt.Tooltip("mean:Q", format="+.4f"), "low:Q", "high:Q", "n:Q", "text:N"]
    hollow = base.transform_filter("datum.rate == 'shared'").mark_point(size=60, fill="white", strokeWidth=2, opacity=1)
    filled = base.transform_filter("datum.rate == 'tuned'").mark_point(size=60, filled=True, opacity=1)
    layers = [
        *places.words_zone(),
        *zone(margin, scale),
        joined,
        rule,
        hollow.encode(y=y, color=colour, tooltip=told),
        filled.encode(y=y, color=colour, tooltip=told),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def zone(margin: float, scale: alt.Scale) -> list[alt.Chart]:
    """Layers of differences that do not matter: the margin around zero, and zero itself."""
    band = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(color="#000000", opacity=0.07)
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=SOFT, strokeDash=[3, 3])
    return [
        band.encode(y=alt.Y("from:Q", title="difference in accuracy", scale=scale), y2="to:Q"),
        zero.encode(y=alt.Y("zero:Q", title="difference in accuracy", scale=scale)),
    ]
