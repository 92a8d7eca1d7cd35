"""What the stored results say: verdicts on paired differences, and claims that a notebook may assert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.charts.queries_rows import families, judged
from labkit.experiments.charged import spending
from labkit.experiments.frontier.spec import PLAIN
from labkit.experiments.queries.spec import BASELINES, SYNTHETIC
from labkit.runs.experiment import Claim
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View


def verdict_words(view: View) -> str:
    """The answer to the question of the notebook, in words."""
    return "\n".join(
        f"{words(c.fields)}: {c.one} against {c.other}: {c.verdict.text}"
        for pairs in families(view).values()
        for c in judged(view, pairs)
    )


def claims(view: View) -> list[Claim]:
    """Invariants that hold for any parameters, and numeric bands for an unmodified preset on the default data."""
    modified = set(view.spec.modified()) - {"seed", "store", "device"}
    return invariants(view) + ([] if modified else bands(view))


def invariants(view: View) -> list[Claim]:
    """What must hold whatever was asked for."""
    rows = view.results()
    shares = [row for row in rows if row["arm"] in BASELINES]
    return [
        *spending(rows, "releases", "runs"),
        Claim("what no epsilon changes is the same at all of them", _one(shares), f"{len(shares)} results compared"),
        Claim(
            "every document got the same number of queries",
            all(_queries(row) % view.spec.queries_per_document == 0 for row in rows if row["arm"] == SYNTHETIC),
            "counted with those that came out empty",
        ),
    ]


def bands(view: View) -> list[Claim]:
    """Numbers expected of an unmodified preset on HPO; a result that is too good fails as well."""
    rows: dict[tuple[str, Any], list[float]] = {}
    for row in view.results():
        rows.setdefault((row["arm"], row["epsilon"]), []).append(row["recall"])
    mean = {key: sum(values) / len(values) for key, values in rows.items()}
    made = []
    for (arm, epsilon), (low, high) in BANDS[view.spec.preset].items():
        value = mean[arm, epsilon]
        made.append(
            Claim(f"recall@10 of {arm} at {epsilon} lies in [{low}, {high}]", low <= value <= high, f"{value:.3f}")
        )
    return made


BANDS: dict[str, dict[tuple[str, Any], tuple[float, float]]] = {
    "quick": {
        ("untrained", PLAIN): (0.52, 0.70),
        ("real", PLAIN): (0.74, 0.90),
        ("synthetic", 3.0): (0.56, 0.75),
        ("synthetic", PLAIN): (0.59, 0.78),
    },
    "full": {
        ("untrained", PLAIN): (0.48, 0.60),
        ("real", PLAIN): (0.85, 0.93),
        ("direct", 3.0): (0.58, 0.72),
        ("synthetic", 3.0): (0.72, 0.83),
        ("synthetic", PLAIN): (0.77, 0.87),
    },
}


def _queries(row: dict[str, Any]) -> int:
    return row["queries"] + row["empty_queries"]


def _one(rows: list[dict[str, Any]]) -> bool:
    found: dict[tuple[Any, ...], set[float]] = {}
    for row in rows:
        found.setdefault((row["arm"], row["split_by"], row["seed"]), set()).add(row["recall"])
    return all(len(same) == 1 for same in found.values())
