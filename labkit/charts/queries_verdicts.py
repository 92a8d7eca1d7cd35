"""Synthetic queries against privately trained encoders and against the real queries, at equal epsilon, as verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import Places, called, in_words
from labkit.charts.frontier_map import zone
from labkit.charts.frontier_rows import cell, family_words, verdict_colour, verdict_legend, word_lines
from labkit.charts.queries_rows import PRIVATE, SPLITS, families, judged
from labkit.charts.rows import NOTHING, padded, values
from labkit.charts.theme import WIDTH, arm, panel_title, themed, titled, waiting
from labkit.verdicts import Comparison

if TYPE_CHECKING:
    from labkit.runs.view import View

VERDICTS = "Synthetic queries against the other ways, at equal epsilon"
DIFFERENCE = "difference in recall@10"


def retrieval_verdict_rows(view: View) -> list[dict[str, str]]:
    """The verdicts as text, one for each comparison; also what the README prints."""
    return [_row(c) for pairs in families(view).values() for c in judged(view, pairs)]


def _row(c: Comparison) -> dict[str, str]:
    v = c.verdict
    return {
        "where": f"{in_words(c.fields['epsilon'])}, split by {c.fields['split_by']}",
        "pair": f"{c.one} - {c.other}",
        "mean": "" if v.mean is None else f"{v.mean:+.4f}",
        "interval": "" if v.low is None else f"{v.low:+.4f} to {v.high:+.4f}",
        "n": str(v.n),
        "word": v.word,
        "text": v.text,
    }


def retrieval_verdicts(view: View) -> alt.ConcatChart | alt.Chart:
    """Recall@10 of the encoder trained on synthetic queries minus each other arm's, paired by seed, against epsilon.

    Two families, each corrected by Holm: against encoders that are trained privately themselves, and against the real
    queries. Fewer than five seeds have numbers and no verdict.
    """
    found = {name: judged(view, pairs) for name, pairs in families(view).items()}
    known = {name: [c for c in table if c.verdict.mean is not None] for name, table in found.items()}
    everything = [c for table in known.values() for c in table]
    if not everything:
        return waiting(VERDICTS, NOTHING)
    margin = view.spec.margin
    cells = [_cell(c) for c in everything]
    places = Places.of(c.fields["epsilon"] for c in everything)
    at = {called(epsilon): place for epsilon, place in places.at.items()}
    for entry in cells:
        entry["at"] = at[entry["epsilon"]]
    low, high = padded([e[end] for e in cells for end in ("mean", "low", "high") if end in e] + [-margin, margin])
    scale = alt.Scale(domain=[low, high + 0.16 * (high - low)], nice=False)  # words stand above the bars
    kinds = list(dict.fromkeys((entry["split_by"], entry["other"]) for entry in cells))
    several = len({split for split, _ in kinds}) > 1
    panels = [
        _panel([e for e in cells if (e["split_by"], e["other"]) == kind], places, scale, margin).properties(
            title=panel_title(
                f"minus {_NAMES.get(kind[1]) or arm(kind[1]).words}" + (f"; split by {kind[0]}" if several else "")
            )
        )
        for kind in sorted(kinds, key=lambda kind: list(SPLITS).index(kind[0]))
    ]
    counts = [c.verdict.n for c in everything]
    text = titled(
        VERDICTS,
        *(f"{_QUESTIONS[name]}: {family_words(table)}" for name, table in found.items() if table and known[name]),
        f"grey zone: the margin of {margin:g}, fixed before the run",
        f"a verdict needs 5 paired seeds, there {'is' if min(counts) == 1 else 'are'} {min(counts)}: undecided"
        if min(counts) < 5
        else "",
        "minus real queries: what privacy costs; those have no epsilon",
    )
    return themed(alt.concat(*panels, columns=2, spacing=18).properties(title=text))


_NAMES = {"real": "real queries"}
_QUESTIONS = {"private": "private encoders", "real": "real queries"}


def _cell(c: Comparison) -> dict[str, Any]:
    entry = cell(c)
    top = entry.get("high", entry.get("mean"))
    return entry | {"other": c.other, "said": word_lines(c.verdict.word), "top": top, "paid": c.other in PRIVATE}


def _panel(cells: Sequence[dict[str, Any]], places: Places, scale: alt.Scale, margin: float) -> alt.LayerChart:
    y = alt.Y("mean:Q", title=DIFFERENCE, scale=scale, axis=alt.Axis(format="+.2~f", tickCount=5))
    base = alt.Chart(values(cells)).encode(x=places.x(), color=verdict_colour(legend=verdict_legend()))
    rule = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.5, opacity=0.8)
    dot = base.mark_point(filled=True, size=75, opacity=1)
    said = base.mark_text(fontSize=9.5, baseline="bottom", dy=-12, lineBreak="\n", lineHeight=10)
    told = ["epsilon:N", "pair:N", alt.Tooltip("mean:Q", format="+.4f"), "low:Q", "high:Q", "n:Q", "text:N"]
    layers = [
        *places.words_zone(),
        *_zone(margin, scale),
        rule.encode(y=alt.Y("low:Q", title=DIFFERENCE, scale=scale), y2="high:Q"),
        dot.encode(y=y, tooltip=told),
        said.encode(y=alt.Y("top:Q", title=DIFFERENCE, scale=scale), text="said:N"),
    ]
    return alt.layer(*layers).properties(width=WIDTH // 2 - 34, height=170)


def _zone(margin: float, scale: alt.Scale) -> list[alt.Chart]:
    return [layer.encode(y=layer.encoding.y.title(DIFFERENCE)) for layer in zone(margin, scale)]
