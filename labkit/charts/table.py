"""The verdicts as a table of words and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.differences import shown
from labkit.charts.rows import NOTHING, values
from labkit.charts.theme import INK, WIDTH, themed, titled
from labkit.verdicts import comparisons, words

if TYPE_CHECKING:
    from labkit.runs.view import View

COLUMNS = (  # field, heading, place from the left
    ("where", "grid point", 0),
    ("pair", "comparison", 150),
    ("mean", "difference", 290),
    ("interval", "interval", 380),
    ("n", "seeds", 505),
    ("word", "verdict", 550),
)


def verdict_rows(view: View) -> list[dict[str, str]]:
    """The table's rows as text; also what the README prints."""
    made = []
    for c in comparisons(view):
        v = c.verdict
        known = v.low is not None
        made.append(
            {
                "where": words(shown(view, c.fields)),
                "pair": f"{c.one} - {c.other}",
                "mean": "" if v.mean is None else f"{v.mean:+.4f}",
                "interval": f"{v.low:+.4f} to {v.high:+.4f}" if known else "",
                "n": str(v.n),
                "word": v.word,
            }
        )
    return made


def verdict_table(view: View) -> alt.LayerChart:
    """Every comparison with its mean difference, interval, number of pairs and verdict."""
    rows = verdict_rows(view)
    head = {name: title for name, title, _ in COLUMNS}
    data = values([head | {"line": 0}] + [row | {"line": i} for i, row in enumerate(rows, start=1)])
    y = alt.Y("line:O", axis=None)
    base = alt.Chart(data, width=WIDTH + 40, height=alt.Step(20))
    texts = [
        base.mark_text(align="left", baseline="middle", fontSize=12, color=INK).encode(
            x=alt.value(at),
            y=y,
            text=f"{name}:N",
            opacity=alt.condition("datum.line == 0", alt.value(1), alt.value(0.85)),
        )
        for name, _, at in COLUMNS
    ]
    ruled = base.transform_filter("datum.line == 0").mark_rule(color="#9a9a9a", yOffset=11).encode(y=y)
    margin = f"margin {view.spec.margin:g}; family corrected by Holm"
    return themed(alt.layer(*texts, ruled).properties(title=titled("Verdicts", margin if rows else NOTHING)))
