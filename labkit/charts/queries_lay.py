"""For whom the search works: laypeople's wordings beside all queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.by_sparsity import fitting
from labkit.charts.epsilons import called, few, is_number, ordered
from labkit.charts.queries_rows import BASELINES, SPLITS, TRAINED, interval_words, measured, of_split, once, splits
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import INK, WIDTH, arm, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

LAY = "Do laypeople find the document as often?"
KINDS = {"recall": "all test queries", "recall_lay": "laypeople's"}
EPSILONS = 3


def retrieval_lay(view: View) -> alt.VConcatChart | alt.Chart:
    """Recall@10 over all test queries (filled) and over laypeople's alone (hollow), joined, for each arm.

    The baselines first, then the arms at no more than three epsilons and without noise; a block for each split.
    """
    rows = once(row for row in view.results() if row["arm"] in TRAINED + BASELINES)
    if not rows:
        return waiting(LAY, NOTHING)
    rows = [row for row in rows if row.get("lay_queries", 0) and "recall_lay" in row]
    if not rows:
        return waiting(LAY, "no test query of this corpus is marked as a layperson's")
    tables = {split: _table(of_split(rows, split)) for split in splits(rows)}
    entries = [entry for table in tables.values() for entry in table]
    scale = fitting([entry[end] for entry in entries for end in ("mean", "low", "high") if end in entry])
    blocks = [_block(table, scale).properties(title=panel_title(SPLITS.get(s, s))) for s, table in tables.items()]
    counts = sorted({int(row["lay_queries"]) for row in rows})
    lay = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    text = titled(
        LAY,
        f"filled: all test queries; hollow: the {lay} in a layperson's words",
        *interval_words(rows, "recall_lay")[:1],
        "no arm was told which queries are a layperson's; the two groups ask for different documents, too",
        width=76,
    )
    return themed(alt.vconcat(*blocks, spacing=18).properties(title=text))


def _table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    noisy = [row["epsilon"] for row in rows if row["arm"] not in BASELINES]
    words = [epsilon for epsilon in ordered(noisy) if not is_number(epsilon)][-1:]
    groups: list[tuple[str, list[Row]]] = [("", [row for row in rows if row["arm"] in BASELINES])]
    groups += [
        (_where(epsilon), [row for row in rows if row["epsilon"] == epsilon and row["arm"] not in BASELINES])
        for epsilon in few(noisy, EPSILONS) + words
    ]
    table = []
    for where, group in groups:
        for name in in_order(row["arm"] for row in group) if where else reversed(BASELINES):
            own = [row for row in group if row["arm"] == name]
            line = arm(name).words + (f", {where}" if where else "")
            for kind, said in KINDS.items():
                table += [
                    entry | {"line": line, "kind": said, "colour": arm(name).colour}
                    for entry in measured(own, kind, ("arm",))
                ]
    return table


def _where(epsilon: Any) -> str:
    return f"epsilon {called(epsilon)}" if is_number(epsilon) else called(epsilon)


def _block(table: Sequence[Row], scale: alt.Scale) -> alt.LayerChart:
    lines = list(dict.fromkeys(entry["line"] for entry in table))
    y = alt.Y("line:N", sort=lines, title=None, axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=290))
    colour = alt.Color("colour:N", scale=None)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="recall@10", scale=scale, axis=alt.Axis(format=".2~f", tickCount=7))

    def drawn(kind: str) -> alt.Chart:
        return alt.Chart(values([entry for entry in table if entry["kind"] == kind])).encode(y=y, color=colour)

    everyone, lay = (drawn(kind) for kind in KINDS.values())
    told = ["line:N", "kind:N", *(alt.Tooltip(f"{end}:Q", format=".4f") for end in ("mean", "low", "high"))]
    joined = alt.Chart(values(table)).mark_line(strokeWidth=1, opacity=0.6)
    layers = [
        joined.encode(x=x("mean"), y=y, color=colour, detail="line:N"),
        everyone.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.35)
        .encode(x=x("low"), x2="high:Q"),
        lay.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.2).encode(x=x("low"), x2="high:Q"),
        everyone.mark_point(filled=True, size=75, opacity=1).encode(x=x("mean"), tooltip=told),
        lay.mark_point(size=65, fill="white", strokeWidth=1.8, opacity=1).encode(x=x("mean"), tooltip=told),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=WIDTH - 260, height=alt.Step(21))
