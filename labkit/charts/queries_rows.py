"""What the charts of private synthetic queries share: arms counted once, intervals, splits, families of comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from labkit.charts.epsilons import is_number
from labkit.charts.rows import Row, grouped, summarise
from labkit.verdicts import Comparison, comparisons

if TYPE_CHECKING:
    from labkit.runs.view import View
    from labkit.spec import Spec

MEASURES = {"recall": "recall@10", "ndcg": "nDCG@10", "mrr": "MRR@10"}
BASELINES = ("real", "untuned", "untrained")  # the same at every epsilon: nothing of them depends on it
TRAINED = ("synthetic", "direct", "direct-warm", "logit")
PRIVATE = ("direct", "direct-warm", "logit")  # the encoder itself is trained privately: at epsilons only
FAMILIES = {
    "private": tuple(("synthetic", name) for name in PRIVATE),
    "real": (("synthetic", "real"),),
}
SPLITS = {
    "pair": "split by pair: a test query's document may have been trained on in other words",
    "document": "split by document: no wording of a test query's document was trained on",
}


def once(rows: Iterable[Row]) -> list[Row]:
    """The rows with each baseline counted once for a split and seed, not again at every epsilon."""
    held: dict[tuple[Any, ...], Row] = {}
    for place, row in enumerate(rows):
        key = (row["split_by"], row["seed"], row["arm"]) if row["arm"] in BASELINES else (place,)
        held.setdefault(key, row)
    return list(held.values())


def splits(rows: Iterable[Row]) -> list[str]:
    """The splits that the rows hold, by pair first."""
    found = {row["split_by"] for row in rows}
    return [name for name in SPLITS if name in found] + sorted(found - set(SPLITS))


def of_split(rows: Iterable[Row], split: str) -> list[Row]:
    """The rows of one split."""
    return [row for row in rows if row["split_by"] == split]


def measured(rows: Iterable[Row], value: str, by: Sequence[str] = ("epsilon", "arm")) -> list[dict[str, Any]]:
    """Mean of a measure in each group, their number n, and an interval.

    The interval is the 95 % t interval over seeds; of a single seed, that replicate's own over test queries, resampled
    with all queries of a document together (`VALUE_low`, `VALUE_high` of its row), if it has one.
    """
    rows = [row for row in rows if value in row]
    single = {key: group[0] for key, group in grouped(rows, by).items() if len(group) == 1}
    summary = summarise(rows, by, value)
    for entry in summary:
        row = single.get(tuple(entry[name] for name in by), {})
        if f"{value}_low" in row:
            entry |= {"low": float(row[f"{value}_low"]), "high": float(row[f"{value}_high"])}
    return summary


def interval_words(rows: Iterable[Row], value: str = "recall", what: str = "band or bar") -> list[str]:
    """What the bands are: over seeds, or of one seed over its test queries; and how wide the second is, as no band over
    seeds of one split contains it.

    Args:
        rows: the baselines once.
        value: the measure.
        what: how the interval is drawn.
    """
    rows = [row for row in rows if value in row]
    counts = {len(group) for group in grouped(rows, ("split_by", "epsilon", "arm")).values()}
    if not counts:
        return []
    own = "95 % interval over test queries, those of a document drawn together"
    if max(counts) == 1:
        return [f"one seed; {what}: {own}", _queries_words(rows)]
    seeds = f"{max(counts)} seeds" if len(counts) == 1 else f"{min(counts)} to {max(counts)} seeds"
    said = f"mean of {seeds}; {what}: 95 % t interval over seeds"
    halves = sorted((row[f"{value}_high"] - row[f"{value}_low"]) / 2 for row in rows if f"{value}_low" in row)
    middle = f" leaves about \u00b1{halves[len(halves) // 2]:.3f} of its own" if halves else ""
    only = f"; of a single seed: {own}" if min(counts) == 1 else ""
    return [said + only, _queries_words(rows) + middle]


def _queries_words(rows: Sequence[Row]) -> str:
    counts = {int(row["test_queries"]) for row in rows if "test_queries" in row}
    if not counts:
        return "the test set"
    low, high = min(counts), max(counts)
    return f"the test set of {low:,} queries" if low == high else f"the test set of {low:,} to {high:,} queries"


def families(view: View) -> dict[str, tuple[tuple[str, str], ...]]:
    """The declared families of comparisons, each corrected by Holm within itself: against training the encoder
    privately at equal epsilon, and against the real queries; without arms that this run has not."""
    arms = {row["arm"] for row in view.results()}
    return {name: tuple(pair for pair in pairs if arms.issuperset(pair)) for name, pairs in FAMILIES.items()}


def judged(view: View, pairs: Sequence[tuple[str, str]], value: str = "recall") -> list[Comparison]:
    """The comparisons of one family at every grid point, paired by seed; with a privately trained encoder only where
    there is an epsilon."""

    def at(point: Spec) -> list[tuple[str, str]]:
        private = is_number(view.fields(point)["epsilon"])
        return [pair for pair in pairs if private or pair[1] not in PRIVATE]

    return comparisons(view, at, value)
