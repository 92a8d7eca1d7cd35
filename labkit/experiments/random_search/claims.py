"""What the stored results say: verdicts on paired differences, and claims that a notebook may assert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.runs.experiment import Claim
from labkit.verdicts import comparisons, words

if TYPE_CHECKING:
    from labkit.runs.view import View


def verdict_words(view: View) -> str:
    """The answer to the question of the notebook, in words."""
    judged = [c for c in comparisons(view) if (c.one, c.other) == ("found", "random")]
    return "\n".join(f"{words(c.fields)}: found against random: {c.verdict.text}" for c in judged)


def claims(view: View) -> list[Claim]:
    """Invariants that hold for any parameters, and numeric bands for an unmodified preset on the default data."""
    return invariants(view) + (bands(view) if is_preset(view) else [])


def is_preset(view: View) -> bool:
    """Whether numeric bands may be asserted: nothing that a result depends on differs from the preset, seeds aside."""
    return not set(view.spec.modified()) - {"seed", "store", "device"}


def invariants(view: View) -> list[Claim]:
    """What must hold whatever was asked for."""
    rows = view.results()
    by_run: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        by_run.setdefault((row["sparsity"], row["budget"], row["seed"]), {})[row["arm"]] = row
    sizes = [{arms[a]["parameters"] for a in ("found", "first", "random")} for arms in by_run.values()]
    gained = [arms["first"]["initial_loss"] - arms["found"]["initial_loss"] for arms in by_run.values()]
    kept = [arm_from_candidates(view, row) for row in rows if row["arm"] in ("found", "random")]
    apart = max(abs(stored - again) for stored, again in kept)
    return [
        Claim(
            "found and random sub-networks of one sparsity have the same number of parameters",
            all(len(size) == 1 for size in sizes),
            f"{len(sizes)} replicates compared",
        ),
        Claim(
            "the found sub-network starts at a loss no higher than the first draw's",
            min(gained) >= 0,
            f"smallest gain in initial loss {min(gained):.4f}",
        ),
        Claim(
            "the accuracies behind the verdicts follow from the stored candidates and scores",
            apart < 1e-6,
            f"{len(kept)} results recomputed, largest difference {apart:.1e}",
        ),
    ]


def arm_from_candidates(view: View, row: dict[str, Any]) -> tuple[float, float]:
    """A found or random arm's stored accuracy, and the same from the arrays of all candidates."""
    point = next(p for p in view.spec.points() if view.fields(p) == {n: row[n] for n in view.fields(p)})
    table = view.arrays(point, row["seed"], "candidates")
    accuracy, index = table["test_accuracy"].astype(float), table["index"]
    if row["arm"] == "found":
        best = view.arrays(point, row["seed"], "scores")["initial_loss"].argmin()
        return row["test_accuracy"], float(accuracy[index == best][0])
    # the found one may stand behind the first draws, which alone are averaged
    return row["test_accuracy"], float(accuracy[: row["trained"]].mean())


def bands(view: View) -> list[Claim]:
    """Numbers expected of an unmodified preset on Fashion-MNIST; a result that is too good fails as well."""
    rows = view.results()
    dense = [row["test_accuracy"] for row in rows if row["arm"] == "dense"]
    low, high = (0.78, 0.88) if view.spec.preset == "quick" else (0.82, 0.91)
    gaps = {words(c.fields): c.verdict.mean for c in comparisons(view) if (c.one, c.other) == ("found", "random")}
    widest = max(gaps, key=lambda where: abs(gaps[where]))
    return [
        Claim(
            f"the dense parent's test accuracy lies in [{low}, {high}]",
            low <= min(dense) and max(dense) <= high,
            f"from {min(dense):.3f} to {max(dense):.3f}",
        ),
        Claim(
            "searching changes test accuracy by less than 0.05 on average, at every sparsity",
            abs(gaps[widest]) < 0.05,
            f"largest mean difference {gaps[widest]:+.4f} at {widest}",
        ),
    ]
