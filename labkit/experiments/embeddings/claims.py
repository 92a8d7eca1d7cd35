"""What the stored results say: verdicts against DP-SGD, and claims that a notebook may assert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.charts.embeddings_verdicts import judged
from labkit.experiments.charged import spending
from labkit.experiments.embeddings.spec import ADAFEST, DPSGD, LAZYDP, YEAR
from labkit.runs.experiment import Claim
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View

FALSE_ALARM = 5.0  # standard deviations of a binomial count; of its mean over steps fewer are seen


def verdict_words(view: View) -> str:
    """The answer to the question of the notebook, in words."""
    return "\n".join(
        f"{words({'epsilon': c.fields['epsilon']})}: {c.one} ({c.fields['configuration'].words}) "
        f"against {c.other}: {c.verdict.text}"
        for c in judged(view)
    )


def claims(view: View) -> list[Claim]:
    """Invariants that hold for any parameters, and numeric bands for an unmodified preset on the default data."""
    modified = set(view.spec.modified()) - {"seed", "store", "device"}
    return invariants(view) + ([] if modified else bands(view))


def invariants(view: View) -> list[Claim]:
    """What must hold whatever was asked for."""
    rows = view.results()
    counted = [row for row in rows if "expected_false" in row]
    few = [row for row in counted if row["survivors"] < row["expected_false"] * 0.9 - _few(row)]
    many = [row for row in counted if row["survivors"] > row["expected_false"] * 1.1 + _few(row) + _touched(row)]
    dense = [row for row in rows if row["arm"] in (DPSGD, LAZYDP)]
    return [
        *spending(rows, "trainings", "trainings"),
        Claim(
            "survivors are those that the noise alone lets through, and at most all that were touched",
            not few and not many,
            f"{len(counted)} trainings; {len(few)} with too few, {len(many)} with too many",
        ),
        Claim(
            "dpsgd and lazydp noise every row",
            all(row["survivors"] == row["rows"] for row in dense),
            f"{len(dense)} trainings",
        ),
    ]


def bands(view: View) -> list[Claim]:
    """Numbers expected of an unmodified preset on the flights; a result that is too good fails as well."""
    found: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    for row in view.results():
        if row["order"] == YEAR and not row["vocabulary"] and row["map_norm"] == "l2":
            found.setdefault((row["arm"], row["epsilon"]), []).append(row)
    made = []
    for (arm, epsilon), (low, high) in BANDS[view.spec.preset].items():
        value = _mean(row["auc"] for row in found[arm, epsilon])
        text = f"mean AUC of {arm} at {epsilon} lies in [{low}, {high}]"
        made.append(Claim(text, low <= value <= high, f"{value:.4f}"))
    for epsilon, (least, most) in LAZY[view.spec.preset].items():
        gap = _mean(r["auc"] for r in found[LAZYDP, epsilon]) - _mean(r["auc"] for r in found[DPSGD, epsilon])
        text = f"lazydp, which is dpsgd, differs from it by {least} to {most} of AUC at epsilon {epsilon:g}"
        made.append(Claim(text, least <= gap <= most, f"{gap:+.4f}"))
    for epsilon, (least, most) in REDUCTION[view.spec.preset].items():
        best = max(row["reduction"] for row in found[ADAFEST, epsilon])
        text = f"the sparsest adafest at epsilon {epsilon:g} noises {least} to {most} times fewer numbers than dpsgd"
        made.append(Claim(text, least <= best <= most, f"{best:.0f}"))
    return made


BANDS: dict[str, dict[tuple[str, Any], tuple[float, float]]] = {
    "quick": {
        ("plain", "plain"): (0.70, 0.80),
        (DPSGD, 8.0): (0.69, 0.77),
        (ADAFEST, 8.0): (0.68, 0.76),
    },
    "full": {
        ("plain", "plain"): (0.76, 0.82),
        (DPSGD, 8.0): (0.74, 0.80),
        (ADAFEST, 8.0): (0.73, 0.80),
    },
}
LAZY: dict[str, dict[float, tuple[float, float]]] = {"quick": {8.0: (-0.015, 0.015)}, "full": {8.0: (-0.005, 0.005)}}
REDUCTION: dict[str, dict[float, tuple[float, float]]] = {"quick": {8.0: (50, 1000)}, "full": {8.0: (50, 2000)}}


def _mean(values: Any) -> float:
    held = list(values)
    return sum(held) / len(held)


def _few(row: Mapping[str, Any]) -> float:
    return FALSE_ALARM * (row["expected_false"] / row["steps"]) ** 0.5 + FALSE_ALARM / row["steps"]


def _touched(row: Mapping[str, Any]) -> float:
    return row["not_private_touched"]
