"""What the stored results say: verdicts on paired differences, and claims that a notebook may assert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.charts.frontier_rows import families, judged
from labkit.experiments.frontier.spec import CLIPPED, DENSE, PLAIN, SIMULATED
from labkit.runs.experiment import Claim
from labkit.stats import mean_interval
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View


def verdict_words(view: View) -> str:
    """The answer to the question of the notebook, in words."""
    found = judged(view, families(view)["parent"])
    return "\n".join(f"{words(c.fields)}: a random mask against dense: {c.verdict.text}" for c in found)


def claims(view: View) -> list[Claim]:
    """Invariants that hold for any parameters, and numeric bands for an unmodified preset on the default data."""
    modified = set(view.spec.modified()) - {"seed", "store", "device"}
    return invariants(view) + ([] if modified else bands(view))


def invariants(view: View) -> list[Claim]:
    """What must hold whatever was asked for."""
    rows = view.results()
    charged = [row for row in rows if "epsilon_spent" in row]
    words_spent = [row for row in charged if row["epsilon"] in (CLIPPED, PLAIN)]
    redone = [row for row in charged if row.get("executions", 1) > 1]
    spent = [(row["epsilon_spent"], row["epsilon"]) for row in charged if row not in words_spent and row not in redone]
    audited = [(row["epsilon_lower"], row["epsilon_claimed"]) for row in view.series("audit")]
    edges = edge_rates(view.series("tuning"))
    made = [
        Claim(
            "no network cost more than its epsilon, by the plan that trained it",
            all(cost <= epsilon * (1 + 1e-9) for cost, epsilon in spent),
            f"{len(spent)} results; the largest share of an epsilon that was spent is "
            f"{max((cost / epsilon for cost, epsilon in spent), default=0):.4f}",
        ),
        Claim("nothing without noise shows an epsilon", not words_spent, f"{len(words_spent)} results do"),
        Claim(
            "the dense network of one epsilon and seed is one network, whatever stands beside it",
            one_dense(rows),
            f"{len(rows)} results compared",
        ),
    ]
    if redone:
        made.append(
            Claim(
                "what a stop made a network do again is charged",
                all(row["epsilon_spent"] > row["epsilon"] for row in redone),
                f"{len(redone)} results with noise from the operating system were resumed",
            )
        )
    if edges:
        at_edge = sum(edges)
        made.append(
            Claim(
                "no chosen learning rate lies at the edge of those tried",
                at_edge == 0,
                f"{at_edge} of {len(edges)} arms at an edge",
            )
        )
    if audited:
        beyond = [lower - claimed for lower, claimed in audited]
        made.append(
            Claim(
                "no audit proves more than the accountant allows",
                max(beyond) <= 0,
                f"{len(audited)} lower bounds, the closest {-max(beyond):.3f} below its epsilon",
            )
        )
    return made


def edge_rates(rows: list[dict[str, Any]]) -> list[bool]:
    """For each tuned arm whether its chosen rate is the first or the last of those tried."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["epsilon"], row["arm"], row["tuned_sparsity"], row["tuned_space"]), []).append(row)
    edges = []
    for tried in found.values():
        rates = sorted(row["learning_rate"] for row in tried)
        (chosen,) = (row["learning_rate"] for row in tried if row["chosen"])
        edges.append(chosen in (rates[0], rates[-1]))
    return edges


def one_dense(rows: list[dict[str, Any]]) -> bool:
    """Whether the dense rows that repeat one network agree, up to the rounding of another population."""
    found: dict[tuple, list[float]] = {}
    for row in rows:
        if row["arm"] == DENSE:
            found.setdefault((row["epsilon"], row["seed"]), []).append(row["test_accuracy"])
    return all(max(same) - min(same) <= 0.02 for same in found.values())


def bands(view: View) -> list[Claim]:
    """Numbers expected of an unmodified preset on Fashion-MNIST; a result that is too good fails as well."""
    rows = {}
    for row in view.results():
        rows.setdefault((row["arm"], row["epsilon"]), []).append(row["test_accuracy"])
    plain, noisy = rows[DENSE, PLAIN], sorted(e for arm, e in rows if arm == DENSE and not isinstance(e, str))
    means = {epsilon: sum(rows[DENSE, epsilon]) / len(rows[DENSE, epsilon]) for epsilon in noisy}
    low, high = (0.76, 0.88) if view.spec.preset == "quick" else (0.80, 0.90)
    least, most = 0.45, 0.82
    low_end, high_end = mean_interval(plain)
    apart = [abs(means[e] - sum(rows[SIMULATED, e]) / len(rows[SIMULATED, e])) for e in noisy]
    return [
        Claim(
            f"plain training reaches a test accuracy in [{low}, {high}]",
            low <= min(plain) and max(plain) <= high,
            f"from {min(plain):.3f} to {max(plain):.3f}, mean interval {low_end:.3f} to {high_end:.3f}",
        ),
        Claim(
            f"privacy costs accuracy: at epsilon {noisy[0]:g} it lies in [{least}, {most}], and more epsilon buys more",
            least <= means[noisy[0]] <= most and means[noisy[0]] < means[noisy[-1]] < max(plain),
            ", ".join(f"epsilon {e:g}: {mean:.3f}" for e, mean in means.items()),
        ),
        Claim(
            "the small-batch simulation foretells the accuracy within 0.05",
            max(apart) <= 0.05,
            f"largest difference {max(apart):.3f}",
        ),
    ]
