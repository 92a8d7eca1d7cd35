"""A stand-in for a View of private sparse fine-tuning: rows of its schema with made-up numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from labkit.experiments.finetune.spec import CHOOSING, FIXED, READING, FinetuneSpec

GRID = ("epsilon", "method", "sparsity", "scope", "warmup")
WEIGHTS, LAYERS, IMAGES = 810_000, 524_288, 1000
SIGMA = {1.0: 1.6, 2.0: 1.1, 4.0: 0.8, 8.0: 0.62}
GAINS = {
    "all": -0.02, "head": -0.05, "head_norm": -0.03, "bias": -0.028, "lora": -0.012, "magnitude": -0.006,
    "random": 0.0, "search": 0.001, "sparta": 0.004, "sparta_abs": 0.006, "sparta_noisy": 0.003, "sparta_norm": 0.012,
}  # fmt: skip


class MadeUp:
    """A View that holds what it is given; its grid is its Spec's."""

    def __init__(
        self,
        results: list[dict] = (),
        *,
        spec: dict[str, Any] | None = None,
        finished: bool = True,
        series: dict[str, list[dict]] | None = None,
        arrays: dict[tuple[Any, ...], dict[str, np.ndarray]] | None = None,
        planned: set[int] | None = None,
    ) -> None:
        self._results, self._series, self._arrays = list(results), series or {}, arrays or {}
        self.spec = FinetuneSpec.of(**{"seeds": 5} | (spec or {}))
        self.experiment = SimpleNamespace(key="05", impossible=lambda point: None)
        status = dict.fromkeys(self.spec.replicate_seeds(), "finished" if finished else "running")
        self.points = [(point, f"run-{i}", status) for i, point in enumerate(self.spec.points())]
        self._planned = planned or {self.spec.seeds}

    def fields(self, point: Any) -> dict[str, Any]:
        return {name: getattr(point, name)[0] for name in GRID}

    def results(self) -> list[dict]:
        return self._results

    def series(self, name: str) -> list[dict]:
        return self._series.get(name, [])

    def arrays(self, point: Any, seed: int, artifact: str) -> dict[str, np.ndarray]:
        fields = self.fields(point)
        return self._arrays[fields["epsilon"], fields["method"], fields["sparsity"], seed]

    def planned_seeds(self) -> set[int]:
        return self._planned


def result(epsilon: Any, seed: int, method: str, accuracy: float, **rest: Any) -> dict:
    """A row that a test writes by hand; rows are at sparsity 0.8, per layer, at the start unless told."""
    fixed = method in FIXED
    row = {"epsilon": epsilon, "method": method, "sparsity": 0.0 if fixed else 0.8, "scope": "layer", "warmup": 0.0}
    row |= {"seed": seed, "arm": method, "test_accuracy": accuracy, "selection_accuracy": accuracy, "test_loss": 0.5}
    row |= {"test_images": IMAGES, "weights": WEIGHTS, "learning_rate": 0.5, "steps": 60, "selection_steps": 0}
    row |= {"moving": 2570, "frozen_share": 0.8, "seconds_per_step": 0.012, "sample_rate": 0.04, "clip_norm": 1.0}
    row |= {"model": "svhn-cnn", "said": "the head for 10 digits of SVHN is replaced by a new one for 10 classes"}
    if epsilon in SIGMA:
        paid = 1.006 if method in READING else 1.02 if method == "search" else 1.0
        row |= {"noise_multiplier": SIGMA[epsilon] * paid, "epsilon_spent": 0.998 * epsilon, "delta": 1e-5}
        row |= {"accountant": "PLD", "noise_source": "seeded"}
        row |= {"noise_multiplier_without": SIGMA[epsilon]} if method in CHOOSING else {}
    if method in CHOOSING:
        noise = {1.0: 0.3, 2.0: 0.45, 4.0: 0.6, 8.0: 0.7}.get(epsilon, 1.0)
        overlap = 0.2 + 0.8 * noise * (1 if method == "sparta_norm" else 0.6 if method != "search" else 0.0)
        row |= {"not_private_overlap": overlap, "chance_overlap": 0.2}
    return row | rest


def made_up(**spec: Any) -> MadeUp:
    """A whole run of a Spec: little moves well at a small epsilon, much at a large one; SPARTA gains a little."""
    view = MadeUp(spec=spec)
    rows, generator = [], np.random.default_rng(0)
    for point, _, statuses in view.points:
        fields = view.fields(point)
        epsilon, method, sparsity = fields["epsilon"], fields["method"], fields["sparsity"]
        number = {"clipped": 16.0, "plain": 32.0}.get(epsilon, epsilon)
        level = 0.93 - 0.09 / number**0.7
        gain = GAINS[method] * (1 if method in ("head", "head_norm", "bias") else 1 / number**0.5)
        if method not in FIXED:
            gain -= 0.03 * abs(sparsity - 0.8) + 0.25 * max(0.0, sparsity - 0.9)
        gain += 0.004 * (fields["scope"] == "global") - 0.003 * (fields["warmup"] > 0)
        for seed in statuses:
            own = np.random.default_rng(seed).normal(0, 0.006)
            accuracy = level + gain + own + generator.normal(0, 0.003)
            moving = {"all": WEIGHTS, "head": 2570, "head_norm": 5642, "bias": 3100, "lora": 22_000}
            moved = moving.get(method, 2570 + LAYERS * (1 - sparsity))
            frozen = {"all": 0.0}.get(method, sparsity or 1.0)
            rows.append(result(epsilon, seed, method, accuracy, moving=int(moved), frozen_share=frozen, **{
                name: fields[name] for name in ("sparsity", "scope", "warmup")
            }))  # fmt: skip
    return MadeUp(rows, spec=spec, series=_series(view), arrays=_landscapes(view))


def _series(view: MadeUp) -> dict[str, list[dict]]:
    ledger = [
        {"seed": 0, "what": "training", "group": f"{epsilon} {seed}", "networks": 12, "noise_multiplier": 0.4}
        | {"sample_rate": 0.04, "steps": 60, "delta": 1e-5, "epsilon": epsilon}
        for epsilon in view.spec.epsilon if not isinstance(epsilon, str)
        for seed in view.spec.replicate_seeds()
    ]  # fmt: skip
    return {"ledger": ledger}


def landscape(side: int = 9) -> dict[str, np.ndarray]:
    """A bowl along the inside, a slope up along the outside."""
    a, b = np.linspace(-0.5, 1.5, side), np.linspace(-0.5, 1.5, side)
    loss = 0.4 + 0.5 * (a[None, :] - 0.9) ** 2 + 0.3 * (b[:, None] + 0.1) ** 2
    return {"loss": loss, "axis_x": a, "axis_y": b}


def _landscapes(view: MadeUp) -> dict[tuple[Any, ...], dict[str, np.ndarray]]:
    return {(view.spec.focus(), "sparta", view.spec.sparsity[0], 0): landscape()}
