"""For whom an epsilon costs most: accuracy within each class, one of them thinned on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.by_sparsity import fitting
from labkit.charts.epsilons import NO_EPSILON, Places, called, in_words, is_number, ordered
from labkit.charts.frontier_lines import over_epsilon
from labkit.charts.frontier_rows import drawn_arm, once, removed, usual
from labkit.charts.rows import Row, band_words, summarise, values
from labkit.charts.theme import WIDTH, arm, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

CLASSES = "For whom: accuracy within each class"
RECALL = "recall_"
THINNED, OTHERS = "#D55E00", "#9a9a9a"


def per_class(view: View) -> alt.VConcatChart | alt.Chart:
    """Accuracy within each class against epsilon, of the dense network and of a masked one, the class that was thinned
    emphasised; below, how far the classes lie apart: their standard deviation, not the largest gap."""
    rows = [row for row in view.results() if row["arm"] in ("dense", "random") and f"{RECALL}0" in row]
    if not rows:
        return waiting(CLASSES, "no finished run yet")
    place = usual(row for row in rows if row["arm"] == "random")
    rows = once(row for row in rows if row["arm"] == "dense" or (row["sparsity"], row["space"]) == place)
    rows = [dict(row) | {"arm": drawn_arm(row)} for row in rows]
    thin, places = thinned(view.spec), Places.of(row["epsilon"] for row in rows)
    single = [
        {"arm": row["arm"], "epsilon": row["epsilon"], "seed": row["seed"], "class": key, "recall": row[key]}
        for row in rows
        for key in row
        if key.startswith(RECALL)
    ]
    summary = summarise(single, ("arm", "epsilon", "class"), "recall")
    scale = fitting([entry["mean"] for entry in summary])
    arms = in_order(row["arm"] for row in rows)
    above = [
        _classes([e for e in summary if e["arm"] == name], places, scale, view.spec, thin, len(arms)).properties(
            title=panel_title(arm(name).words)
        )
        for name in arms
    ]
    apart = [row | {"spread": spread(row)} for row in rows]
    table = summarise(apart, ("epsilon", "arm"), "spread")
    ends = [entry[end] for entry in table for end in ("mean", "low", "high") if end in entry]
    below = over_epsilon(table, places, arms, fitting([*ends, 0.0]), WIDTH, 150, "spread over classes", ".2~f")
    below = below.properties(title=panel_title("spread: standard deviation of the classes' accuracies"))
    text = titled(
        CLASSES,
        band_words(rows, ("epsilon", "arm")),
        f"emphasised: {class_words(view.spec, thin)}, thinned on purpose and named beforehand"
        if thin is not None
        else "no class was thinned in this run",
        _spread_words([entry for entry in table if entry["arm"] == "dense"]),
        f"masked: {removed(*place)}" if place else "",
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
    )
    chart = alt.vconcat(alt.hconcat(*above, spacing=18), below, spacing=20).resolve_scale(
        color="independent", strokeDash="independent"
    )
    return themed(chart.properties(title=text))


def thinned(spec: Any) -> int | None:
    """The class that was thinned, by its number; None if none was, or if its name has no number here."""
    named = str(getattr(spec, "thin_class", ""))
    names = class_names(spec)
    return names.index(named) if named in names else int(named) if named.isdecimal() else None


def class_names(spec: Any) -> tuple[str, ...]:
    """The names of the vendored data set's classes; none for another, whose names are not in the store."""
    if getattr(spec, "data", "") != "fashion_mnist":
        return ()
    from labkit.data.fashion_mnist import CLASSES as NAMES

    return NAMES


def class_words(spec: Any, number: int) -> str:
    """A class by its number, and by its name where that is known."""
    names = class_names(spec)
    return f"class {number}" + (f" ({names[number]})" if number < len(names) else "")


def spread(row: Row) -> float:
    """The standard deviation of one network's accuracies within its classes."""
    return float(np.std([value for key, value in row.items() if key.startswith(RECALL)]))


def _spread_words(dense: Sequence[Row]) -> str:
    """The dense network's spread at the smallest epsilon and where nothing is private."""
    known = {entry["epsilon"]: entry["mean"] for entry in dense}
    if len(known) < 2:
        return ""
    ends = [ordered(known)[0], ordered(known)[-1]]
    return "spread of the dense network: " + ", ".join(f"{known[end]:.3f} at {in_words(end)}" for end in ends)


def _classes(
    summary: Sequence[Row], places: Places, scale: alt.Scale, spec: Any, thin: int | None, panels: int
) -> alt.LayerChart:
    table = [
        dict(entry)
        | {
            "at": places.at[entry["epsilon"]],
            "epsilon": called(entry["epsilon"]),
            "word": not is_number(entry["epsilon"]),
            "thin": entry["class"] == f"{RECALL}{thin}",
            "class": class_words(spec, int(entry["class"].removeprefix(RECALL))),
        }
        for entry in sorted(summary, key=lambda entry: places.at[entry["epsilon"]])
    ]
    y = alt.Y("mean:Q", title="accuracy within the class", scale=scale, axis=alt.Axis(format=".2~f"))
    base = alt.Chart(values(table)).encode(x=places.x())
    kinds = (("!datum.thin", OTHERS, 1.2, 16), ("datum.thin", THINNED, 2.6, 45))
    layers = places.words_zone()
    band = base.transform_filter("datum.thin && !datum.word && isValid(datum.low)").mark_area(
        opacity=0.15, color=THINNED
    )
    layers.append(band.encode(y=alt.Y("low:Q", title="accuracy within the class", scale=scale), y2="high:Q"))
    for which, colour, stroke, size in kinds:
        line = base.transform_filter(f"{which} && !datum.word").mark_line(color=colour, strokeWidth=stroke)
        dot = base.transform_filter(which).mark_point(filled=True, size=size, color=colour, opacity=1)
        told = ["class:N", "epsilon:N", alt.Tooltip("mean:Q", format=".4f"), alt.Tooltip("n:Q", title="seeds")]
        layers += [line.encode(y=y, detail="class:N"), dot.encode(y=y, tooltip=told)]
    return alt.layer(*layers).properties(width=WIDTH if panels == 1 else WIDTH // 2 - 34, height=230)
