"""What the stored results say: verdicts, and claims that a notebook may assert."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.charts.finetune_verdicts import judged
from labkit.experiments.charged import spending
from labkit.experiments.finetune.spec import ALL, FIXED, HEAD, LAYER, RANDOM, ROWS, SPARTA
from labkit.runs.experiment import Claim
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View


ROUNDED = 1e-3  # of the weights of all layers together, of which a whole number moves


def verdict_words(view: View) -> str:
    """The answer to the question of the notebook, in words."""
    return "\n".join(
        f"{words({'epsilon': c.fields['epsilon']})}: {c.one} against {reference}: {c.verdict.text}"
        for reference, comparisons in judged(view).items()
        for c in comparisons
    )


def claims(view: View) -> list[Claim]:
    """Invariants that hold for any parameters, and numeric bands for an unmodified preset on the default data."""
    modified = set(view.spec.modified()) - {"seed", "store", "device"}
    return invariants(view) + ([] if modified else bands(view))


def invariants(view: View) -> list[Claim]:
    """What must hold whatever was asked for."""
    rows = view.results()
    sized = [row for row in rows if row["arm"] in ROWS]
    # A layer moves at least one row; over all layers together a row that no longer fits stays frozen, if another moves.
    layered = [row["sparsity"] - row["frozen_share"] for row in sized if row["scope"] == LAYER]
    several = [row for row in sized if row["scope"] != LAYER and row["rows_chosen"] > 1]
    across = [row["frozen_share"] - row["sparsity"] for row in several]
    free = [row for row in sized if "noise_multiplier_without" not in row and row["selection_steps"]]
    paid = [row for row in rows if "noise_multiplier_without" in row]
    fixed = {(row["arm"], row["moving"]) for row in rows if row["arm"] in FIXED}
    return [
        *spending(rows, "fine-tunes", "fine-tunes"),
        Claim(
            "the share of weights frozen is the sparsity, but for whole rows",
            min(layered, default=0) >= -1e-9 and min(across, default=0) >= -ROUNDED,
            f"{len(sized)} fine-tunes of rows; the share differs by at most {max(layered + across, default=0):.4f}",
        ),
        Claim(
            "a private choice of rows is paid for with more noise, and a free one with none",
            all(row["noise_multiplier"] > row["noise_multiplier_without"] for row in paid)
            and all(row["epsilon"] in ("clipped", "plain") for row in free),
            f"{len(paid)} paid choices",
        ),
        Claim(
            "a method of fixed size moves the same numbers at every epsilon and seed",
            len(fixed) == len({arm for arm, _ in fixed}),
            ", ".join(f"{arm} {moving:,}" for arm, moving in sorted(fixed)),
        ),
    ]


def bands(view: View) -> list[Claim]:
    """Numbers expected of an unmodified preset on its data; a result that is too good fails as well."""
    found: dict[tuple[str, Any], list[Mapping[str, Any]]] = {}
    main = view.spec.sparsity[0], view.spec.scope[0], view.spec.warmup[0]
    for row in view.results():
        if row["arm"] in FIXED or ((row["sparsity"], row["scope"]) == main[:2] and row["warmup"] in (0, main[2])):
            found.setdefault((row["arm"], row["epsilon"]), []).append(row)
    made = []
    for (arm, epsilon), (low, high) in BANDS[view.spec.preset].items():
        value = _mean(row["test_accuracy"] for row in found[arm, epsilon])
        text = f"mean test accuracy of {arm} at {epsilon} lies in [{low}, {high}]"
        made.append(Claim(text, low <= value <= high, f"{value:.4f}"))
    return made


BANDS: dict[str, dict[tuple[str, Any], tuple[float, float]]] = {
    "quick": {
        (ALL, "plain"): (0.90, 0.97),
        (HEAD, "plain"): (0.85, 0.94),
        (ALL, 8.0): (0.83, 0.93),
        (RANDOM, 8.0): (0.82, 0.92),
        (SPARTA, 8.0): (0.82, 0.92),
    },
    "full": {
        (ALL, 1.0): (0.73, 0.78),
        (HEAD, 1.0): (0.66, 0.71),
        (RANDOM, 1.0): (0.73, 0.78),
        (SPARTA, 1.0): (0.73, 0.77),
        (ALL, 8.0): (0.80, 0.84),
        (HEAD, 8.0): (0.70, 0.74),
        (RANDOM, 8.0): (0.795, 0.835),
        (SPARTA, 8.0): (0.795, 0.835),
        (ALL, "clipped"): (0.85, 0.885),
        (RANDOM, "plain"): (0.84, 0.875),
    },
    "imagenet": {
        (ALL, 2.0): (0.785, 0.83),
        (HEAD, 2.0): (0.775, 0.82),
        (RANDOM, 2.0): (0.78, 0.825),
        (SPARTA, 2.0): (0.775, 0.82),
    },
}


def _mean(values: Any) -> float:
    held = list(values)
    return sum(held) / len(held)
