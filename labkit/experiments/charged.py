"""What must hold of spending in every notebook whose private trainings can be stopped and done again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.experiments.frontier.spec import CLIPPED, PLAIN
from labkit.runs.experiment import Claim


def is_word(epsilon: float | str) -> bool:
    """Whether this is training without noise."""
    return epsilon in (CLIPPED, PLAIN)


def spending(rows: Sequence[Mapping[str, Any]], counted: str, stopped: str) -> list[Claim]:
    """Nothing cost more than its epsilon, what was done again is charged, and nothing without noise has an epsilon.

    Args:
        rows: the stored results.
        counted, stopped: what a charged result and a resumed one are called.
    """
    charged = [row for row in rows if "epsilon_spent" in row]
    noiseless = [row for row in charged if is_word(row["epsilon"])]
    redone = [row for row in charged if row.get("executions", 1) > 1]
    spent = [(row["epsilon_spent"], row["epsilon"]) for row in charged if row not in noiseless and row not in redone]
    return [
        Claim(
            "nothing that was trained without interruption cost more than its epsilon",
            all(cost <= epsilon * (1 + 1e-9) for cost, epsilon in spent),
            f"{len(spent)} {counted}; the largest share of an epsilon that was spent is "
            f"{max((cost / epsilon for cost, epsilon in spent), default=0):.4f}",
        ),
        Claim(
            "what a stop made a run do again is charged",
            all(row["epsilon_spent"] >= row["epsilon"] * 0.99 for row in redone),
            f"{len(redone)} {stopped} with noise from the operating system were resumed",
        ),
        Claim("nothing without noise shows an epsilon", not noiseless, f"{len(noiseless)} results do"),
    ]
