"""What the synthetic queries are like: how varied, how near the real ones, how many copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.epsilons import NO_EPSILON, Places, is_number
from labkit.charts.queries_retrieval import against_epsilon
from labkit.charts.queries_rows import SPLITS, of_split, once, splits
from labkit.charts.rows import NOTHING, band_words
from labkit.charts.theme import WIDTH, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

QUALITY = "What the synthetic queries are like"
PANELS = {  # field: title of the panel, title of the axis, format
    "distinct_1": ("distinct words, of all words", "distinct-1", ".2~f"),
    "distinct_2": ("distinct pairs of words, of all pairs", "distinct-2", ".2~f"),
    "bleu": ("BLEU against held-out real queries", "BLEU", ".3~g"),
    "selection_loss": ("model's loss on the selection split", "loss per query token", ".2~f"),
    "not_private_copies": ("not private: copies, same document", "share of queries", ".2~%"),
    "not_private_copies_anywhere": ("not private: copies, any document", "share of queries", ".2~%"),
}


def quality(view: View) -> alt.VConcatChart | alt.Chart:
    """Distinct-n, BLEU against held-out queries, the tuned model's loss, and the shares of queries that repeat a
    private training query word for word, against epsilon; the untuned model's queries as a line across.

    Copies are counted by looking at the private queries: exact statistics, marked not private, never a filter.
    """
    rows = [row for row in view.results() if row["arm"] in ("synthetic", "untuned")]
    rows = once(row for row in rows if any(name in row for name in PANELS))
    if not rows:
        return waiting(QUALITY, NOTHING)
    places, named = Places.of(row["epsilon"] for row in rows), splits(rows)
    size = (WIDTH // 2 - 34, 130)
    blocks = []
    for split in named:
        here = of_split(rows, split)
        panels = [
            against_epsilon(here, name, axis, places, ["synthetic"], size, number, inside=True).properties(
                title=panel_title(said)
            )
            for name, (said, axis, number) in PANELS.items()
            if any(name in row for row in here)
        ]
        block = alt.concat(*panels, columns=2, spacing=14)
        blocks.append(block.properties(title=panel_title(SPLITS.get(split, split))) if len(named) > 1 else block)
    counts = sorted({int(row["queries"]) for row in rows if "queries" in row})
    text = titled(
        QUALITY,
        band_words(rows, ("split_by", "epsilon", "arm")) + (f"; {counts[-1]:,} queries each" if counts else ""),
        "copies: queries that equal a training query word for word; counting them looks at private data, so these "
        "shares are not private and never a filter",
        "BLEU and loss look at test and selection queries, which are not protected",
        NO_EPSILON if any(not is_number(epsilon) for epsilon in places.at) else "",
    )
    return themed(alt.vconcat(*blocks, spacing=20).properties(title=text))
