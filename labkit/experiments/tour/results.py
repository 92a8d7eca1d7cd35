"""What the tour's stored results say: the charts of notebook 01 at one epsilon, and claims."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labkit.experiments.random_search.claims import invariants, is_preset
from labkit.experiments.tour.spec import PRIVATE, PRIVATE_RANDOM
from labkit.runs.experiment import Claim
from labkit.runs.view import View
from labkit.verdicts import comparisons, words

if TYPE_CHECKING:
    import altair as alt

Charts = Mapping[str, Callable[[View], "alt.Chart"]]

PRIVATE_TOO = ("accuracy_by_sparsity", "training_curves")  # the others show arms that no epsilon changes


def charts(of_search: Charts) -> Charts:
    """The charts of notebook 01, which know one axis, sparsity: at the first epsilon asked for."""
    return {name: at_first_epsilon(chart, name in PRIVATE_TOO) for name, chart in of_search.items()}


def at_first_epsilon(chart: Callable[[View], alt.Chart], private: bool) -> Callable[[View], alt.Chart]:
    """The chart of the first epsilon's results, with a line that says which that is where it matters.

    Args:
        private: whether it shows what depends on epsilon.
    """

    @functools.wraps(chart)
    def drawn(view: View) -> alt.Chart:
        made, (epsilon, *others) = chart(first_epsilon(view)), view.spec.epsilon
        if not private:
            return made
        said = epsilon if isinstance(epsilon, str) else f"{epsilon:g}"
        more = ", the first of several: notebook 02 shows them side by side" if others else ""
        made.title.subtitle = [*made.title.subtitle, f"at epsilon {said}{more}"]
        return made

    return drawn


def first_epsilon(view: View) -> View:
    """The results of the first epsilon of the grid."""
    spec = view.spec.changed(epsilon=view.spec.epsilon[:1])
    return View(view.store, view.experiment, spec, view.fingerprint, view.device_kind)


def verdict_words(view: View) -> str:
    """The verdicts of notebook 01; its arms have nothing to do with an epsilon, so none is named."""
    judged = [c for c in comparisons(first_epsilon(view)) if (c.one, c.other) == ("found", "random")]
    where = [{name: value for name, value in c.fields.items() if name != "epsilon"} for c in judged]
    return "\n".join(
        f"{words(at)}: found against random: {c.verdict.text}" for at, c in zip(where, judged, strict=True)
    )


def claims(view: View) -> list[Claim]:
    """What must hold whatever the controls say, and one band for the preset on its own data."""
    rows = view.results()
    private = [row for row in rows if row["arm"] in (PRIVATE, PRIVATE_RANDOM)]
    spent = [(row["epsilon_spent"], row["epsilon"]) for row in private if "epsilon_spent" in row]
    made = [
        *invariants(view),
        Claim(
            "no private network cost more than its epsilon, and nothing without noise shows one",
            all(not isinstance(epsilon, str) and cost <= epsilon for cost, epsilon in spent),
            f"{len(spent)} of {len(private)} networks have an epsilon"
            + (f", the most of it that was spent is {max(c / e for c, e in spent):.4f}" if spent else ""),
        ),
    ]
    if is_preset(view):
        dense = [row["test_accuracy"] for row in rows if row["arm"] == "dense"]
        low, high = 0.72, 0.87
        made.append(
            Claim(
                f"a dense network learns these images: test accuracy in [{low}, {high}]",
                low <= min(dense) and max(dense) <= high,
                f"from {min(dense):.3f} to {max(dense):.3f}",
            )
        )
    return made
