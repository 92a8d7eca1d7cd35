"""A stand-in for a View of the privacy frontier: rows of its schema with made-up numbers, as many as a test wants."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import numpy as np

EPSILON, SPARSITY, SPACE = (0.5, 2.0, 8.0, "clipped", "plain"), (0.0, 0.9), ("nodes",)
FULL = {
    "epsilon": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, "clipped", "plain"),
    "sparsity": (0.0, 0.5, 0.8, 0.9, 0.95),
    "space": ("nodes", "weights"),
    "seeds": 10,
}
CANDIDATES = (10, 100, 1000)
RATES = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)


class MadeUp:
    """A View that holds what it is given; its grid is the rows' own unless told."""

    def __init__(
        self,
        results: list[dict] = (),
        *,
        epsilon: tuple = EPSILON,
        sparsity: tuple = SPARSITY,
        space: tuple = SPACE,
        seeds: int = 5,
        finished: bool = True,
        series: dict[str, list[dict]] | None = None,
        arrays: dict[Any, dict[str, np.ndarray]] | None = None,
        **spec: Any,
    ) -> None:
        self._results, self._series, self._arrays = list(results), series or {}, arrays or {}
        plain = {
            "margin": 0.01,
            "seeds": seeds,
            "thin_class": "Shirt",
            "data": "fashion_mnist",
            "learning_rate": "tuned",
        }
        self.spec = SimpleNamespace(epsilon=epsilon, sparsity=sparsity, space=space, **(plain | spec))
        self.experiment = SimpleNamespace(impossible=lambda point: None)
        status = dict.fromkeys(range(seeds), "finished" if finished else "running")
        points = [
            SimpleNamespace(epsilon=(e,), sparsity=(s,), space=(w,), margin=0.01)
            for e, s, w in itertools.product(epsilon, sparsity, space)
        ]
        self.points = [(point, f"run-{i}", status) for i, point in enumerate(points)]
        self.spec.points = lambda: points

    def fields(self, point: Any) -> dict[str, Any]:
        return {name: getattr(point, name)[0] for name in ("epsilon", "sparsity", "space")}

    def results(self) -> list[dict]:
        return [row for row in self._results if row["seed"] < self.spec.seeds]

    def series(self, name: str) -> list[dict]:
        return self._series.get(name, [])

    def impossible(self) -> list[dict]:
        return []

    def planned_seeds(self) -> set[int]:
        return {self.spec.seeds}

    def arrays(self, point: Any, seed: int, artifact: str) -> dict[str, np.ndarray]:
        if seed or artifact != "landscape" or point.sparsity[0] != self.spec.sparsity[0]:
            raise KeyError(artifact)
        return self._arrays[point.epsilon[0]]


def result(epsilon: Any, sparsity: float, seed: int, arm: str, accuracy: float, **rest: Any) -> dict:
    """A row that a test writes by hand."""
    made = {"epsilon": epsilon, "sparsity": sparsity, "space": "nodes", "seed": seed, "arm": arm}
    return made | {"test_accuracy": accuracy} | rest


def made_up(seeds: int = 5, **grid: tuple) -> MadeUp:
    """A whole frontier: dense networks lose under small epsilon, thin ones less; a shared rate flatters the thin."""
    held = {"epsilon": EPSILON, "sparsity": SPARSITY, "space": SPACE} | grid
    rows, generator = [], np.random.default_rng(0)
    for epsilon, seed in itertools.product(held["epsilon"], range(seeds)):
        private = not isinstance(epsilon, str)
        dense = _accuracy(epsilon) + generator.normal(0, 0.006)
        always = {"dense": dense} | ({"simulated": dense + generator.normal(0.002, 0.006)} if private else {})
        shared = {name: _row(epsilon, seed, name, value, value, generator) for name, value in always.items()}
        for sparsity, space in itertools.product(held["sparsity"], held["space"]):
            where = {"sparsity": sparsity, "space": space}
            rows += [row | where for row in shared.values()]
            for name, value in _thin(dense, epsilon, sparsity, space, generator).items() if sparsity else ():
                flattered = value + (0.02 if private and epsilon < 2 else 0)
                rows.append(_row(epsilon, seed, name, value, flattered, generator) | where)
    series = {"tuning": _tuning(held), "audit": _audits(held["epsilon"])}
    return MadeUp(rows, seeds=seeds, **held, series=series, arrays=_landscapes(held["epsilon"]))


def _accuracy(epsilon: Any) -> float:
    return {"plain": 0.853, "clipped": 0.845}.get(epsilon) or 0.84 - 0.12 / (1 + 1.6 * epsilon)


def _thin(dense: float, epsilon: Any, sparsity: float, space: str, generator: np.random.Generator) -> dict[str, float]:
    private = not isinstance(epsilon, str)
    lost = 0.05 * sparsity**3 - (0.05 / (1 + epsilon) if private else 0)
    base = dense - lost * (1 if space == "nodes" else 0.5)
    arms = {"random": base, "small": base - 0.004}
    if private and space == "nodes":
        arms |= {f"chosen-{k}": base - 0.004 + 0.001 * math.log10(k) * epsilon**0.5 for k in CANDIDATES}
        arms["repeats"] = base - 0.03
    return {name: value + generator.normal(0, 0.006) for name, value in arms.items()}


def _row(epsilon: Any, seed: int, arm: str, value: float, shared: float, generator: np.random.Generator) -> dict:
    recalls = {f"recall_{c}": min(1.0, value + 0.1 - 0.03 * c + generator.normal(0, 0.01)) for c in range(10)}
    recalls["recall_6"] -= 0.25 * (0.9 - value) / 0.1
    row = {"epsilon": epsilon, "seed": seed, "arm": arm, "test_accuracy": value, "test_images": 1500} | recalls
    if arm != "simulated":
        row |= {"test_accuracy_shared": shared, "widened": int(arm == "random" and epsilon == 0.5)}
    if arm.startswith("chosen"):
        row["candidates"] = int(arm.split("-")[1])
    return row | ({"candidates": 10} if arm == "repeats" else {})


def _tuning(held: dict[str, tuple]) -> list[dict]:
    rows = []
    for epsilon, sparsity, space in itertools.product(held["epsilon"], held["sparsity"], held["space"]):
        for place, arm in enumerate(("dense", "random", "small")[: 3 if sparsity else 1]):
            best = (0.25 if epsilon == "plain" else 0.5) * (1 if arm == "dense" else 2)
            table = {rate: _accuracy(epsilon) - 0.01 * place - 0.02 * math.log2(rate / best) ** 2 for rate in RATES}
            table |= {4.0: table[2.0] - 0.05} if arm == "random" and epsilon == 0.5 else {}
            rows += [
                {"epsilon": epsilon, "sparsity": sparsity, "space": space, "seed": 0, "arm": arm}
                | {"learning_rate": rate, "selection_accuracy": value, "chosen": rate == best, "round": int(rate > 2)}
                for rate, value in table.items()
            ]
    return rows


def _audits(epsilons: tuple) -> list[dict]:
    made = {"sparsity": 0.0, "space": "nodes", "seed": 0, "confidence": 0.999}
    return [
        made | {"epsilon": e, "epsilon_claimed": e, "epsilon_lower": share * e * (1 - 20 / runs), "method": method}
        | {"runs": runs}
        for e in epsilons
        if not isinstance(e, str)
        for method, share in (("game", 0.8), ("one_run", 0.3))
        for runs in (200, 1000, 4000)
    ]  # fmt: skip


def _landscapes(epsilons: tuple) -> dict[Any, dict[str, np.ndarray]]:
    axis = np.linspace(-1, 1, 9)
    made = {}
    for epsilon in epsilons:
        private = not isinstance(epsilon, str)
        width = 0.5 if private else 1.0
        loss = (0.6 if private else 0.4) + 2 * (width * axis[:, None] ** 2 + axis[None, :] ** 2)
        radius = 0.9 / epsilon if private else 0.0
        made[epsilon] = {"loss": loss, "axis": axis, "noise_radius": np.array(radius)}
    return made
