"""What the charts of sparse embeddings share: configurations, the places where they are compared, words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.charts.epsilons import in_words, is_number, ordered
from labkit.charts.rows import Row

if TYPE_CHECKING:
    from labkit.runs.view import View

BASELINE = "dpsgd"
SPARSE = ("fest", "adafest", "adafest_plus")  # those whose released gradient is sparse
METHODS = (BASELINE, *SPARSE, "lazydp")
USES = {  # what each method reads of the grid; the rest holds no meaning for it
    "fest": ("k",),
    "adafest": ("threshold", "selection_fraction", "map_norm"),
    "adafest_plus": ("k", "threshold", "selection_fraction", "map_norm"),
}
UNUSED = {"k": 0, "threshold": 0.0, "selection_fraction": 0.0, "map_norm": "l2"}
ORDERS = {"year": "the training year shuffled", "months": "month after month"}


@dataclass(frozen=True)
class Configuration:
    """A method with the settings that it has a use for."""

    method: str
    k: int = 0
    threshold: float = 0.0
    selection_fraction: float = 0.0
    map_norm: str = "l2"

    @classmethod
    def of(cls, row: Row) -> Configuration:
        """The configuration of a row, whatever its grid point holds in fields that its method does not read."""
        uses = USES.get(row["arm"], ())
        return cls(row["arm"], **{name: row[name] if name in uses else empty for name, empty in UNUSED.items()})

    @property
    def words(self) -> str:
        """Its settings: "threshold 3, f 0.5"; empty for a method without any."""
        said = [f"k {self.k:,}"] if "k" in USES.get(self.method, ()) else []
        if "threshold" in USES.get(self.method, ()):
            said += [f"threshold {self.threshold:g}", f"f {self.selection_fraction:g}"]
            said += ["L1 map"] if self.map_norm == "l1" else []
        return ", ".join(said)

    @property
    def order(self) -> tuple[Any, ...]:
        place = METHODS.index(self.method) if self.method in METHODS else len(METHODS)
        return place, self.k, self.threshold, self.selection_fraction, self.map_norm != "l2"


@dataclass(frozen=True)
class Place:
    """Where configurations are compared: they share epsilon, vocabulary and order."""

    epsilon: Any
    vocabulary: int
    order: str

    @classmethod
    def of(cls, row: Row) -> Place:
        return cls(row["epsilon"], row["vocabulary"], row["order"])


def once(rows: Iterable[Row]) -> list[Row]:
    """Each place, configuration and seed once, though several grid points may tell it."""
    held: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        held.setdefault((Place.of(row), Configuration.of(row), row["seed"]), row)
    return list(held.values())


def vocabularies(rows: Iterable[Row]) -> list[int]:
    """The vocabularies of the rows from small to large; 0, which is all of the data's own, last."""
    return sorted({row["vocabulary"] for row in rows}, key=lambda size: size or math.inf)


def orders(rows: Iterable[Row]) -> list[str]:
    """The orders of the rows, the shuffled year first."""
    found = {row["order"] for row in rows}
    return [name for name in ORDERS if name in found] + sorted(found - set(ORDERS))


def usual(rows: Sequence[Row]) -> list[Row]:
    """The rows of the `usual_place`, each configuration and seed once."""
    return once(usual_place(rows))


def usual_place(rows: Sequence[Row]) -> list[Row]:
    """The rows of the vocabulary and order that stand for all where one must; of results or of a series.

    That is where most settings were run: other vocabularies and orders are run at few. Of several with as many, the
    largest vocabulary and the shuffled year.
    """
    settings: dict[tuple[int, str], set[Any]] = {}
    for row in rows:
        held = settings.setdefault((row["vocabulary"], row["order"]), set())
        held.add((row["method"], *(row[name] for name in UNUSED)))
    if not settings:
        return []
    best = max(settings, key=lambda key: (len(settings[key]), key[1] == "year", key[0] or math.inf))
    return [row for row in rows if (row["vocabulary"], row["order"]) == best]


def usual_words(view: View, shown: Sequence[Row]) -> str:
    """Which vocabulary and order `usual` rows are of."""
    if not shown:
        return ""
    said = f"{rows_words(shown)}; {ORDERS.get(shown[0]['order'], shown[0]['order'])}"
    every = view.results()
    others = [name for name, several in (("vocabularies", vocabularies(every)), ("orders", orders(every)))
              if len(several) > 1]  # fmt: skip
    return said + (f" (other {' and '.join(others)}: own charts)" if others else "")


def rows_words(rows: Sequence[Row]) -> str:
    """How large the vocabulary is: "29,500 rows"."""
    counts = sorted({int(row["rows"]) for row in rows if "rows" in row})
    return f"vocabulary of {counts[-1]:,} rows" if counts else "vocabulary not said"


def epsilons(rows: Iterable[Row]) -> list[Any]:
    """The epsilons of the rows that are numbers, from small to large."""
    return [value for value in ordered(row["epsilon"] for row in rows) if is_number(value)]


def where(place: Place, rows: Sequence[Row]) -> str:
    """A place in words: its epsilon, and what else varies among the rows."""
    said = in_words(place.epsilon)
    said += f", vocabulary {vocabulary_words(place.vocabulary)}" if len(vocabularies(rows)) > 1 else ""
    return said + (f", {ORDERS.get(place.order, place.order)}" if len(orders(rows)) > 1 else "")


def vocabulary_words(vocabulary: int) -> str:
    return f"{vocabulary:,}" if vocabulary else "all"


def factor(number: float) -> str:
    """A reduction: 1.5x, 240x, 12,000x."""
    return f"{float(f'{number:.2g}'):,.10g}\u00d7"


def sampling_words(rows: Iterable[Row]) -> str:
    """The test set's own standard error, which no interval over seeds of one split contains."""
    told = [row for row in rows if "auc_error" in row and "test_rows" in row]
    if not told:
        return ""
    errors, count = sorted(row["auc_error"] for row in told), max(int(row["test_rows"]) for row in told)
    return f"the test set of {count:,} examples leaves a standard error of about {errors[len(errors) // 2]:.4f} of AUC"
