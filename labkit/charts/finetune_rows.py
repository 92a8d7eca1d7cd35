"""What the charts of private sparse fine-tuning share: methods with their settings, pairs by seed, words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.charts.rows import Row, percent

if TYPE_CHECKING:
    from labkit.runs.view import View

ALL, HEAD, RANDOM = "all", "head", "random"
FIXED = (ALL, HEAD, "head_norm", "bias", "lora")  # what moves is fixed: they have no sparsity
READINGS = ("sparta", "sparta_abs", "sparta_noisy", "sparta_norm")
PAYING = ("search", *READINGS)  # their choice of rows is paid for
ROWS = (RANDOM, "magnitude", "search", *READINGS)
METHODS = (*FIXED, *ROWS)
REFERENCES = (ALL, HEAD, RANDOM)
SCOPES = {"layer": "the best rows of each layer", "global": "the best rows of all layers together"}
FROZEN = "share of weights frozen"
PANELS = {  # together they are too many to be told apart
    "What moves is fixed": (*FIXED, RANDOM),
    "Rows: four ways to choose them": (ALL, RANDOM, "magnitude", "search", "sparta"),
    "SPARTA: four readings of one score": (ALL, RANDOM, *READINGS),
}
MOST = 6  # methods in one panel


@dataclass(frozen=True)
class Setting:
    """A method with the settings that it has a use for.

    Args:
        method: its name.
        sparsity: share of weights frozen in the layers that may move; 0 for a fixed method.
        scope: "layer" or "global", for methods that choose rows.
        warmup: epochs before SPARTA looks, 0 for the start and for all others.
    """

    method: str
    sparsity: float = 0.0
    scope: str = "layer"
    warmup: float = 0.0

    @classmethod
    def of(cls, row: Row) -> Setting:
        """The setting of a row, whatever its grid point holds in fields that its method does not read."""
        method = row["arm"]
        if method not in ROWS:
            return cls(method)
        return cls(method, row["sparsity"], row["scope"], row["warmup"] if method in READINGS else 0.0)

    @property
    def order(self) -> tuple[Any, ...]:
        place = METHODS.index(self.method) if self.method in METHODS else len(METHODS)
        return place, self.sparsity, self.scope != "layer", self.warmup

    @property
    def words(self) -> str:
        """Its settings: "80 % frozen, per layer"; empty for a fixed method."""
        if self.method not in ROWS:
            return ""
        said = f"{percent(self.sparsity)} frozen, " + ("per layer" if self.scope == "layer" else "over all layers")
        return said + (f", after {warmup_words(self.warmup)}" if self.warmup else "")


def drawn_arm(method: str) -> str:
    """A method's name among `theme.ARMS`, where "random" is a random mask of other notebooks."""
    return "random-rows" if method == RANDOM else method


def named(rows: Iterable[Row]) -> list[Row]:
    """The rows with the arm as it is drawn."""
    return [dict(row) | {"arm": drawn_arm(row["arm"])} for row in rows]


def warmup_words(epochs: float) -> str:
    return f"{epochs:g} epoch{'s' * (epochs != 1)}"


def once(rows: Iterable[Row]) -> list[Row]:
    """Each epsilon, setting and seed once, though several grid points may tell it."""
    held: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        held.setdefault((row["epsilon"], Setting.of(row), row["seed"]), row)
    return list(held.values())


def main_setting(view: View, method: str) -> Setting:
    """What a method is compared at: the first sparsity, scope and warm-up of the Spec."""
    spec = view.spec
    given = {"arm": method, "sparsity": spec.sparsity[0], "scope": spec.scope[0], "warmup": spec.warmup[0]}
    return Setting.of(given)


def main_rows(view: View) -> list[Row]:
    """The rows of every method's `main_setting`, each once."""
    return [row for row in once(view.results()) if Setting.of(row) == main_setting(view, row["arm"])]


def middle(view: View) -> Any:
    """The epsilon at which other settings are run: the Spec's middle number, or its first word without a number."""
    return view.spec.focus()


def at_middle(view: View, rows: Iterable[Row]) -> list[Row]:
    """The rows at the middle epsilon."""
    return [row for row in rows if row["epsilon"] == middle(view)]


def by_method(methods: Iterable[str]) -> list[str]:
    """The methods without repeats, in the order of `METHODS`."""
    found = set(methods)
    return [name for name in METHODS if name in found] + sorted(found - set(METHODS))


def panels_of(methods: Iterable[str], always: Sequence[str] = (ALL, RANDOM)) -> dict[str, list[str]]:
    """The methods of each panel with its title: one without a title for few methods, else `PANELS`, of which those stay
    that hold more than the methods they share."""
    found = by_method(methods)
    if len(found) <= MOST:
        return {"": found}
    split = {title: [name for name in found if name in own] for title, own in PANELS.items()}
    return {title: own for title, own in split.items() if set(own) - set(always)}


def paired(one: Iterable[Row], other: Iterable[Row], value: str = "test_accuracy") -> dict[int, float]:
    """One minus the other by seed, where both have one."""
    left, right = ({row["seed"]: row[value] for row in rows if value in row} for rows in (one, other))
    return {seed: float(left[seed] - right[seed]) for seed in sorted(left.keys() & right.keys())}


def setting_words(view: View) -> str:
    """At which setting the methods that choose rows are shown: "rows: 80 % of weights frozen, per layer"."""
    said = f"{percent(view.spec.sparsity[0])} of the weights frozen, chosen "
    said += "layer by layer" if view.spec.scope[0] == "layer" else "over all layers together"
    late = view.spec.warmup[0]
    return f"rows: {said}" + (f"; SPARTA looks after {warmup_words(late)}" if late else "")


def model_words(rows: Sequence[Row]) -> str:
    """The public model, and what of it was replaced or resized."""
    told = [row for row in rows if "model" in row]
    return f"{told[0]['model']}: {told[0].get('said', '')}".removesuffix(": ") if told else ""


def count_words(number: float) -> str:
    """A count of numbers: 2,570; 810 k; 5.3 M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= 10 * size:
            return f"{number / size:.3g} {unit}" if number < 100 * size else f"{number / size:,.0f} {unit}"
    return f"{number:,.0f}"
