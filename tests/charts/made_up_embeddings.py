"""A stand-in for a View of sparse embeddings under privacy: rows of its schema with made-up numbers."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

GRID = ("epsilon", "method", "selection_fraction", "threshold", "k", "map_norm", "vocabulary", "order")
EPSILON = (1.0, 3.0, 8.0, "clipped", "plain")
METHODS = ("dpsgd", "fest", "adafest", "adafest_plus", "lazydp")
THRESHOLDS, FRACTIONS, KS = (1.0, 3.0, 5.0), (0.1, 0.5), (10, 100)
ROWS, DIM, BATCH, TOUCHED = 29_500, 16, 2048, 4000
SETTINGS = ("selection_fraction", "threshold", "k", "map_norm")


class MadeUp:
    """A View that holds what it is given."""

    def __init__(
        self,
        results: list[dict] = (),
        *,
        seeds: int = 5,
        finished: bool = True,
        series: dict[str, list[dict]] | None = None,
        planned: set[int] | None = None,
    ) -> None:
        self._results, self._series = list(results), series or {}
        self.spec = SimpleNamespace(seeds=seeds, margin=0.002)
        self.experiment = SimpleNamespace(key="04", impossible=lambda point: None)
        status = dict.fromkeys(range(seeds), "finished" if finished else "running")
        found = dict.fromkeys(tuple(row[name] for name in GRID) for row in self._results)
        self.points = [(SimpleNamespace(**dict(zip(GRID, key, strict=True))), str(key), status) for key in found]
        self._planned = planned or {seeds}

    def fields(self, point: Any) -> dict[str, Any]:
        return {name: getattr(point, name) for name in GRID}

    def results(self) -> list[dict]:
        return self._results

    def series(self, name: str) -> list[dict]:
        return self._series.get(name, [])

    def planned_seeds(self) -> set[int]:
        return self._planned


def result(epsilon: Any, seed: int, method: str, auc: float, *, survivors: float = ROWS, **rest: Any) -> dict:
    """A row that a test writes by hand; selection AUC is the test's unless told."""
    row = {"epsilon": epsilon, "method": method, "selection_fraction": 0.0, "threshold": 0.0, "k": 0, "map_norm": "l2"}
    row |= {"vocabulary": 0, "order": "year", "seed": seed, "arm": method if not isinstance(epsilon, str) else epsilon}
    row |= {"auc": auc, "auc_error": 0.0021, "selection_auc": auc, "log_loss": 0.5, "test_rows": 65_000}
    row |= {"rows": ROWS, "dim": DIM, "survivors": survivors, "not_private_touched": TOUCHED, "steps": 100}
    row |= {"gradient_bytes": survivors * (4 * DIM + 8), "dense_bytes": 4 * DIM * ROWS, "seconds_per_step": 0.01}
    if not isinstance(epsilon, str):
        row |= {"epsilon_spent": 0.998 * epsilon, "delta": 1e-5, "accountant": "PLD", "unit": "example"}
        row |= {"sample_rate": 0.01, "noise_multiplier": 0.8, "clip_norm": 1.0, "noise_source": "seeded"}
    row |= rest
    row.setdefault("reduction", row["rows"] / row["survivors"] if row["survivors"] else math.inf)
    return row


def settings(method: str, norms: tuple[str, ...] = ("l2", "l1")) -> list[dict[str, Any]]:
    """The grid's settings of a method."""
    ks = KS if method in ("fest", "adafest_plus") else (0,)
    maps = method in ("adafest", "adafest_plus")
    axes = (FRACTIONS, THRESHOLDS) if maps else ((0.0,), (0.0,))
    made = itertools.product(*axes, ks, norms if method == "adafest" else ("l2",))
    return [dict(zip(SETTINGS, values, strict=True)) for values in made]


def made_up(
    seeds: int = 5,
    epsilon: tuple = EPSILON,
    vocabulary: tuple[int, ...] = (0,),
    order: tuple[str, ...] = ("year",),
    methods: tuple[str, ...] = METHODS,
    norms: tuple[str, ...] = ("l2", "l1"),
) -> MadeUp:
    """A whole run: thresholds cost AUC and cut the gradient, FEST loses more and loses twice in a stream."""
    rows, generator = [], np.random.default_rng(0)
    for e, size, way, seed in itertools.product(epsilon, vocabulary, order, range(seeds)):
        wobble = np.random.default_rng(seed).normal(0, 0.003)
        count = size or ROWS
        private = not isinstance(e, str)
        level = (0.74 - 0.03 / e if private else {"clipped": 0.77, "plain": 0.78}[e]) + 0.01 * math.log10(count / ROWS)
        for method in methods if private else ("dpsgd",):
            for own in settings(method, norms):
                lost, survivors = _law(method, own, count, way)
                value = level + wobble - lost + generator.normal(0, 0.0006)
                extra = {"expected_false": count * _tail(own["threshold"])} if "ada" in method else {}
                extra |= own | {"vocabulary": size, "order": way, "rows": count}
                extra |= {"selection_auc": value + generator.normal(0, 0.0004)}
                rows.append(result(e, seed, method, value, survivors=survivors, **extra))
    return MadeUp(rows, seeds=seeds, series=_series(epsilon, order))


def _tail(threshold: float) -> float:
    return 0.5 * math.erfc(threshold / math.sqrt(2))


def _law(method: str, own: dict[str, Any], count: int, way: str) -> tuple[float, float]:
    if method == "dpsgd":
        return 0.0, count
    if method == "lazydp":
        return 0.0, count  # all of them are noised, later
    kept = min(1.0, own["k"] / 400) * count if own["k"] else count
    lost = 0.006 * (1 - kept / count) * (2 if way == "months" else 1)
    if method == "fest":
        return lost, kept
    norm = 1.6 if own["map_norm"] == "l1" else 1.0
    lost += 0.0012 * own["threshold"] * norm + 0.004 * own["selection_fraction"] ** 2
    return lost, kept * _tail(own["threshold"]) + 300 / norm / own["threshold"]


def _series(epsilons: tuple, orders: tuple) -> dict[str, list[dict]]:
    curve, counted, leak, ledger = [], [], [], []
    base = {"selection_fraction": 0.0, "threshold": 0.0, "k": 0, "map_norm": "l2", "vocabulary": 0, "seed": 0}
    for e, way in itertools.product([e for e in epsilons if not isinstance(e, str)], orders):
        where = base | {"epsilon": e, "order": way, "method": "adafest"}
        for threshold, fraction in itertools.product(THRESHOLDS, FRACTIONS):
            named = {"configuration": f"threshold {threshold:g}, f {fraction:g}"}
            grid = where | {"threshold": threshold, "selection_fraction": fraction}
            for step in range(0, 100, 10):
                curve.append(grid | named | {"step": step, "selection_auc": 0.6 + 0.001 * step})
                expected = (ROWS - TOUCHED) * _tail(threshold)
                counts = {"survivors": expected + 300, "expected_false": expected, "not_private_touched": TOUCHED}
                counted.append(grid | named | {"step": step} | counts)
            shown = {"changed_untouched": _tail(threshold), "changed_touched": _tail(threshold - 0.3)}
            leak.append(grid | {"mechanism": "adafest"} | shown | {"observed_epsilon": 0.4, "step_epsilon": 4.0})
        ends = {"changed_untouched": 0.0, "changed_touched": 1.0}
        leak += [
            where | {"mechanism": "dpsgd", "changed_untouched": 1.0, "changed_touched": 1.0, "observed_epsilon": 0.0,
                     "step_epsilon": 4.0},
            where | {"mechanism": "eana", "step_epsilon": 4.0} | ends,
        ]  # fmt: skip
        ledger.append(
            where | {"what": "training", "group": f"{e} {way}", "networks": 1, "noise_multiplier": 0.8}
            | {"sample_rate": 0.01, "steps": 100, "delta": 1e-5}
        )  # fmt: skip
    return {"curve": curve, "survivors": counted, "leak": leak, "ledger": ledger}
