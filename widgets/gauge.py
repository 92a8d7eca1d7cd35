"""How much of its epsilon a private training has spent, while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as W

from widgets.field import text

SERIES = "spent"  # the series whose points are shown


class Gauge:
    """A bar, a line of words and, at the end, the totals of a ledger. Hidden while there is nothing to say.

    A point costs two messages to the page, the bar's and the words', and none where nothing moved.

    Attributes:
        widget: all of it.
    """

    def __init__(self) -> None:
        self.bar = W.FloatProgress(min=0, max=1).add_class("labkit-spent")
        self.words = W.Label().add_class("labkit-spent-words").add_class("labkit-quiet")
        self.totals = W.Label().add_class("labkit-totals")
        self.widget = W.VBox([self.bar, self.words, self.totals]).add_class("labkit-gauge")
        self.clear()

    def clear(self) -> None:
        """Hide bar, words and totals."""
        self.show_totals("")
        self.bar.value, self.words.value = 0, ""
        for part in (self.bar, self.words):
            part.layout.display = "none"

    def show(self, values: Mapping[str, Any]) -> None:
        """Draw one point.

        Args:
            values: step, steps, epsilon_spent (so far), target, delta, accountant, sample_rate, source, plan; and unit,
                what is protected, where that is not an example.
        """
        self.bar.value = min(values["epsilon_spent"] / values["target"], 1.0)
        self.words.value = spent(values)
        for part in (self.bar, self.words):
            part.layout.display = None

    def show_totals(self, said: str) -> None:
        """The ledger's totals, in words; nothing while there are none."""
        self.totals.value = said
        self.totals.layout.display = None if said else "none"


def spent(values: Mapping[str, Any]) -> str:
    """One point of the gauge in words: how much, of what, for whom, by whose bound, and what that supposes."""
    noise = "noise from the operating system" if values["source"] == "os" else "noise seeded: for teaching"
    return " · ".join(
        [
            f"epsilon {values['epsilon_spent']:.3g} of {text(values['target'])} spent "
            f"after {values['step']:,} of {values['steps']:,} steps",
            values["plan"],
            f"delta {values['delta']:g}",
            f"add/remove one training {values.get('unit', 'example')}, training split only",
            values["accountant"],
            f"Poisson sampling at rate {values['sample_rate']:.2g}",
            noise,
        ]
    )
