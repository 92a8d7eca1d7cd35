"""The figure to remember: the methods in their order at one epsilon, beside random rows, which cost nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.accuracy import test_words
from labkit.charts.embeddings_panels import bounded
from labkit.charts.epsilons import in_words
from labkit.charts.finetune_rows import (
    RANDOM,
    at_middle,
    by_method,
    count_words,
    drawn_arm,
    main_rows,
    middle,
    model_words,
    paired,
    setting_words,
)
from labkit.charts.finetune_verdicts import few_words, judged
from labkit.charts.frontier_rows import family_words, verdict_colour
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import INK, SOFT, arm, themed, titled, waiting
from labkit.stats import mean_interval
from labkit.stats.verdict import UNDECIDED

if TYPE_CHECKING:
    from labkit.runs.view import View

ORDERED = "Which weights should a private fine-tuning touch?"
PLOT = 300  # px
COLUMNS = {"moves": ("numbers that move", 62), "sigma": ("noise \u03c3", 108), "word": ("against random rows", 120)}


def finetune_ordered(view: View) -> alt.LayerChart | alt.Chart:
    """Test accuracy at the middle epsilon, best method first, with the 95 % t interval of the paired difference to
    random rows around each mean; random rows as a line across. A bar that does not touch the line differs from them.

    Beside each: how many numbers move, the noise multiplier, and the verdict against random rows.
    """
    rows = at_middle(view, main_rows(view))
    if not rows:
        return waiting(ORDERED, NOTHING)
    entries = _entries(view, rows)
    reference = [entry for entry in entries if entry["method"] == RANDOM]
    scale, cut = bounded(entries)
    most, against = max(entry["n"] for entry in entries), judged(view)[RANDOM]
    text = titled(
        ORDERED,
        f"{in_words(middle(view))}; {setting_words(view)}",
        _bars(most, bool(reference)) + (f"; {cut}" if cut else ""),
        few_words(against) or (f"the bars are not corrected; the words: {family_words(against)}" if against else ""),
        test_words(rows),
        model_words(rows),
        width=100,
    )
    return themed(_drawn(entries, reference, scale).properties(title=text))


def _bars(most: int, paired_with_random: bool) -> str:
    if most < 2:
        return "one seed: points without intervals"
    if not paired_with_random:
        return f"mean of {most} seeds; bar: 95 % t interval of the mean; no random rows to compare with so far"
    return f"mean of {most} seeds; bar: 95 % t interval of the difference to random rows, paired by seed"


def _entries(view: View, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry for each method, best first; those that have no seed in common with random rows lack an interval."""
    by = {name: [row for row in rows if row["arm"] == name] for name in by_method(row["arm"] for row in rows)}
    verdicts = {c.one: c.verdict for c in judged(view)[RANDOM] if c.fields["epsilon"] == middle(view)}
    entries = []
    for name, own in by.items():
        accuracy = [float(row["test_accuracy"]) for row in own]
        gained = list(paired(own, by[RANDOM]).values()) if RANDOM in by else accuracy
        mean = float(np.mean(accuracy))
        entry = {"method": name, "line": arm(drawn_arm(name)).words, "mean": mean, "n": len(own)}
        if name != RANDOM and len(gained) > 1:
            low, high = mean_interval(gained)
            entry |= {"low": mean + low - float(np.mean(gained)), "high": mean + high - float(np.mean(gained))}
        found = verdicts.get(name)
        word = found.word if found else UNDECIDED
        entry |= {"verdict": word, "word": "free: no look at the data" if name == RANDOM else word}
        entry |= {"text": found.text if found else "", "moves": count_words(float(np.mean([r["moving"] for r in own])))}
        noise = [row["noise_multiplier"] for row in own if row.get("noise_multiplier")]
        entries.append(entry | {"sigma": f"{np.mean(noise):.3f}" if noise else ""})
    return sorted(entries, key=lambda entry: -entry["mean"])


def _drawn(entries: Sequence[Row], reference: Sequence[Row], scale: alt.Scale) -> alt.LayerChart:
    order = [entry["line"] for entry in entries]
    y = alt.Y("line:N", title=None, sort=order, axis=alt.Axis(labelFontSize=12, labelColor=INK, labelLimit=170))

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=".3~f", tickCount=5)
        return alt.X(f"{field}:Q", title="test accuracy (share of images right)", scale=scale, axis=axis)

    blue = arm(drawn_arm(RANDOM)).colour
    base = alt.Chart(values(entries)).encode(y=y)
    ends = [alt.Tooltip(f"{end}:Q", format=".4f") for end in ("mean", "low", "high")]
    told = ["line:N", *ends, alt.Tooltip("n:Q", title="seeds"), alt.Tooltip("moves:N", title="numbers that move")]
    told += [alt.Tooltip("sigma:N", title="noise multiplier"), "text:N"]
    colour = verdict_colour("verdict")
    others, own = base.transform_filter(f"datum.method != '{RANDOM}'"), alt.Chart(values(reference))
    layers = [
        own.mark_rule(color=blue, strokeWidth=1.6, strokeDash=[6, 3]).encode(x=x("mean")),
        others.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.85, clip=True)
        .encode(x=x("low"), x2="high:Q", color=colour),
        others.mark_point(filled=True, size=90, opacity=1).encode(x=x("mean"), color=colour, tooltip=told),
        own.mark_point(filled=True, size=110, opacity=1, shape="diamond", color=blue)
        .encode(x=x("mean"), y=y, tooltip=told),
    ]  # fmt: skip
    for field, (heading, at) in COLUMNS.items():
        align = "left" if field == "word" else "right"
        text = base.mark_text(align=align, fontSize=11, color=INK)
        ink = colour if field == "word" and reference else alt.value(INK)
        layers.append(text.encode(x=alt.value(PLOT + at), text=f"{field}:N", color=ink))
        head = alt.Chart(values([{"heading": heading}])).mark_text(align=align, fontSize=10.5, color=SOFT)
        layers.append(head.encode(x=alt.value(PLOT + at), y=alt.value(-9), text="heading:N"))
    return alt.layer(*layers).properties(width=PLOT, height=alt.Step(26))
