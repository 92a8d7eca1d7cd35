"""A stand-in for a View of private synthetic queries: rows of its schema with made-up numbers."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np

EPSILON, SPLIT_BY = (1.0, 3.0, 8.0, "clipped", "plain"), ("pair",)
PRIVATE = ("direct", "direct-warm", "logit")
LEVELS = {"untrained": 0.42, "untuned": 0.51, "real": 0.88}
DELTA, Q, STEPS, SIGMA = 2e-5, 0.07, 84, 0.9
DOCUMENTS = (
    "Abnormality of the voice. Any anomaly of the voice that is heard when somebody speaks, sings or shouts.",
    "Pes planus. A foot where the longitudinal arch of the foot is in contact with the ground when standing.",
    "Myopia. Nearsightedness.",
    "Hypertelorism. Interpupillary distance more than two standard deviations above the mean.",
    "Ptosis. The upper eyelid lies lower than it should.",
)


class MadeUp:
    """A View that holds what it is given."""

    def __init__(
        self,
        results: list[dict] = (),
        *,
        epsilon: tuple = EPSILON,
        split_by: tuple = SPLIT_BY,
        seeds: int = 5,
        finished: bool = True,
        series: dict[str, list[dict]] | None = None,
    ) -> None:
        self._results, self._series = list(results), series or {}
        self.spec = SimpleNamespace(epsilon=epsilon, split_by=split_by, seeds=seeds, margin=0.02)
        self.experiment = SimpleNamespace(key="03", impossible=lambda point: None)
        status = dict.fromkeys(range(seeds), "finished" if finished else "running")
        grid = itertools.product(epsilon, split_by)
        self.points = [(SimpleNamespace(epsilon=(e,), split_by=(s,)), f"run-{e}-{s}", status) for e, s in grid]

    def fields(self, point: Any) -> dict[str, Any]:
        return {name: getattr(point, name)[0] for name in ("epsilon", "split_by")}

    def results(self) -> list[dict]:
        return self._results

    def series(self, name: str) -> list[dict]:
        return self._series.get(name, [])

    def planned_seeds(self) -> set[int]:
        return {self.spec.seeds}


def result(epsilon: Any, seed: int, arm: str, recall: float, split: str = "pair", **rest: Any) -> dict:
    """A row that a test writes by hand."""
    row = {"epsilon": epsilon, "split_by": split, "seed": seed, "arm": arm}
    for name, value in {"recall": recall, "ndcg": 0.8 * recall, "mrr": 0.75 * recall}.items():
        for kind, lower, half in (("", 0.0, 0.012), ("_lay", 0.06, 0.02)):
            middle = value - lower
            row |= {f"{name}{kind}": middle, f"{name}{kind}_low": middle - half, f"{name}{kind}_high": middle + half}
    return row | {"test_queries": 4060, "lay_queries": 1165, "unit": "pair"} | rest


def made_up(seeds: int = 5, epsilon: tuple = EPSILON, split_by: tuple = SPLIT_BY) -> MadeUp:
    """A whole run: the tuned model's queries gain with epsilon, encoders trained privately lie below them."""
    rows, generator = [], np.random.default_rng(0)
    for e, split, seed in itertools.product(epsilon, split_by, range(seeds)):
        lower = 0.08 if split == "document" else 0.0
        wobble = np.random.default_rng(seed).normal(0, 0.006)
        arms = {name: level - lower + wobble for name, level in LEVELS.items()}
        tuned = {"plain": 0.82, "clipped": 0.81}.get(e) or 0.74 - 0.06 / e
        arms["synthetic"] = tuned - lower + generator.normal(0, 0.008)
        if not isinstance(e, str):
            arms |= {
                name: 0.6 - 0.03 * i - 0.1 / e - lower + generator.normal(0, 0.01) for i, name in enumerate(PRIVATE)
            }
        rows += [result(e, seed, name, value, split) | _rest(e, name, generator) for name, value in arms.items()]
    return MadeUp(rows, epsilon=epsilon, split_by=split_by, seeds=seeds, series=_series(epsilon, split_by))


def _rest(epsilon: Any, arm: str, generator: np.random.Generator) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if arm in ("synthetic", "untuned"):
        untuned = arm == "untuned"
        made |= {"queries": 18528, "distinct_1": 0.2 - 0.1 * untuned + generator.normal(0, 0.01)}
        made |= {"distinct_2": 0.5 - 0.2 * untuned, "bleu": 3.0 if untuned else 14 + generator.normal(0, 1)}
        made |= {
            "not_private_copies": 0.01 if untuned else 0.08,
            "not_private_copies_anywhere": 0.02 if untuned else 0.12,
        }
    if arm == "synthetic":
        made["selection_loss"] = 3.0 + (0.0 if isinstance(epsilon, str) else 0.4 / epsilon)
    if arm in ("synthetic", *PRIVATE) and not isinstance(epsilon, str):
        made |= {"epsilon_spent": 0.998 * epsilon, "delta": DELTA, "accountant": "PLD", "sample_rate": Q}
        made |= {"steps": STEPS, "noise_multiplier": SIGMA, "noise_source": "seeded"}
    return made


def _series(epsilons: tuple, splits: tuple) -> dict[str, list[dict]]:
    generator = np.random.default_rng(1)
    samples, canaries, ledger = [], [], []
    for e, split in itertools.product(epsilons, splits):
        where = {"epsilon": e, "split_by": split, "seed": 0}
        for row, document in enumerate(DOCUMENTS):
            for arm in ("untuned", "synthetic"):
                texts = [f"{arm} words {i} for document {row}" for i in range(3)]
                samples += [where | {"arm": arm, "row": row, "document": document, "query": query} for query in texts]
        for repeats in (1, 10, 100):
            gain = min(10.0, repeats / 8) if e == "plain" else 0.0
            bits = np.minimum(10.0, generator.exponential(1 / np.log(2), 20) + gain)
            canaries += [
                where | {"repeats": repeats, "canary": i, "exposure": float(value), "cap": 10.0}
                for i, value in enumerate(bits)
            ]
        if not isinstance(e, str):
            ledger.append(
                where
                | {"what": "training", "group": f"{e} {split}", "networks": 1, "noise_multiplier": SIGMA}
                | {"sample_rate": Q, "steps": STEPS, "delta": DELTA}
            )
    return {"samples": samples, "exposure": canaries, "ledger": ledger}
