"""Every arm and epsilon with its measures and intervals, as rows of text and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import called, ordered
from labkit.charts.queries_rows import (
    BASELINES,
    MEASURES,
    SPLITS,
    TRAINED,
    interval_words,
    measured,
    of_split,
    once,
    splits,
)
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.rows import NOTHING, Row
from labkit.charts.theme import SOFT, arm, in_order, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

TABLE = "Every arm in numbers"
LAY = "recall_lay"
AT = (0, 78, 128, 251, 374, 497)
ARMS = (
    "synthetic, untuned: an encoder trained on queries of the tuned model, of the untuned one",
    "direct, direct-warm, logit: the encoder itself is trained privately",
)


def retrieval_rows(view: View) -> list[dict[str, str]]:
    """One row of text for each split, arm and epsilon; also what the README prints.

    Fields: split_by, arm, epsilon ("" for a baseline), recall, ndcg, mrr and recall_lay, each "mean [low, high]" as
    far as it is known, and seeds.
    """
    rows = once(row for row in view.results() if row["arm"] in TRAINED + BASELINES)
    made = []
    for split in splits(rows):
        here = of_split(rows, split)
        for name in in_order(row["arm"] for row in here):
            own = [row for row in here if row["arm"] == name]
            for epsilon in [""] if name in BASELINES else ordered(row["epsilon"] for row in own):
                at = [row for row in own if epsilon in ("", row["epsilon"])]
                numbers = {value: _number(at, value) for value in (*MEASURES, LAY)}
                where = {"split_by": split, "arm": name, "epsilon": called(epsilon)}
                made.append(where | numbers | {"seeds": str(len({row["seed"] for row in at}))})
    return made


def retrieval_table(view: View) -> alt.VConcatChart | alt.Chart:
    """Every arm and epsilon: recall@10, nDCG@10, MRR@10 and laypeople's recall@10 with their intervals."""
    rows = retrieval_rows(view)
    if not rows:
        return waiting(TABLE, NOTHING)
    heading = ("arm", "epsilon", *MEASURES.values(), "recall@10, lay")
    tables = []
    for split in splits(rows):
        lines: list[Sequence[Cell | str]] = [heading, [Cell(SPLITS.get(split, split), SOFT, across=True)]]
        before = ""
        for row in of_split(rows, split):
            said = row["arm"] if row["arm"] != before else ""
            name = Cell(said, arm(row["arm"]).colour, bold=True)
            lines.append([name, row["epsilon"], *(row[value] for value in MEASURES), row[LAY]])
            before = row["arm"]
        tables.append(text_table(lines, AT))
    text = titled(TABLE, *interval_words(once(view.results()), what="brackets"), *ARMS, _cost(view.results()))
    return themed(alt.vconcat(*tables, spacing=16).properties(title=text))


def _number(rows: Sequence[Row], value: str) -> str:
    entry: dict[str, Any] = next(iter(measured(rows, value, ())), {})
    if not entry:
        return ""
    said = f"{entry['mean']:.3f}"
    return said + (f" [{entry['low']:.3f}, {entry['high']:.3f}]" if "low" in entry else "")


def _cost(rows: Sequence[Row]) -> str:
    """What an epsilon protects, and at which delta."""
    told = [row for row in rows if "epsilon_spent" in row]
    units = sorted({row["unit"] for row in told if "unit" in row})
    deltas = sorted({row["delta"] for row in told if "delta" in row})
    if not units or not deltas:
        return ""
    said = f"{deltas[0]:.2g}" + (f" to {deltas[-1]:.2g}" if len(deltas) > 1 else "")
    return f"epsilon protects one {' or '.join(units)} of the training split; delta {said}"
