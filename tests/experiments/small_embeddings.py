"""Notebook 04 in seconds: a small table, a few steps, and what its events and its store say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant

from labkit.data.table import Table
from labkit.data.tables import load_table
from labkit.experiments import get
from labkit.experiments.embeddings import training
from labkit.experiments.embeddings.lab import Lab
from labkit.experiments.embeddings.run import run
from labkit.experiments.embeddings.spec import EmbeddingsSpec
from labkit.privacy import Plan
from labkit.runs import Store, Worker
from labkit.runs.events import Checkpoint, Chunk, Event, Point, Result
from labkit.runs.experiment import Job, Resources
from labkit.runs.view import View

EXPERIMENT = get("04")
POWER_LAW = "power-law:rows=400,examples=600"
SMALL = {
    "data": POWER_LAW, "epsilon": "8", "method": "dpsgd,fest,adafest,adafest_plus,lazydp", "selection_fraction": "0.5",
    "threshold": "1", "k": "5", "map_norm": "l2", "vocabulary": "0", "order": "year", "batch_size": 64, "epochs": 0.5,
    "dim": 2, "hidden": 4, "evaluations": 2, "seeds": 1, "learning_rate": 2.0, "clip_norm": 0.1,
    "device": "cpu",
}  # fmt: skip
SERIES = ("curve", "survivors", "spent", "ledger", "leak")
TIMES = {"seconds_per_step"}  # of the results, what no seed decides

Told = list[tuple[int, Event]]


@cache
def table(name: str = POWER_LAW, key: bytes = b"key") -> Table:
    return load_table(name, key)


def spec(**changes: Any) -> EmbeddingsSpec:
    return EXPERIMENT.spec.of(**(SMALL | changes))


def jobs(**changes: Any) -> list[Job]:
    made = spec(**changes)
    return [Job(point, seed) for point in made.points() for seed in made.replicate_seeds()]


def resources(data: Table | None = None, **kept: Any) -> Resources:
    return Resources(torch.device("cpu"), data or table(), **kept)


def lab(data: Table | None = None, /, **changes: Any) -> Lab:
    return Lab(jobs(**changes), resources(data))


def told(some: list[Job], data: Table | None = None, **kept: Any) -> Told:
    return list(run(some, resources(data, **kept)))


def results(events: Told) -> dict[int, dict[str, Any]]:
    """The values of each job's result, its arm among them."""
    return {place: {"arm": e.arm, **e.values} for place, e in events if isinstance(e, Result)}


def timeless(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in TIMES}


def chunks(events: Told) -> dict[str, dict[str, torch.Tensor]]:
    return {event.key: dict(event.tensors) for _, event in events if isinstance(event, Chunk)}


def points(events: Told, series: str) -> list[tuple[int, dict[str, Any]]]:
    return [(place, dict(e.values)) for place, e in events if isinstance(e, Point) and e.series == series]


def run_until(store: Store, ends: Callable[[Event], bool], **changes: Any) -> bool:
    """Run until an event is one at which to stop, and close the generator; whether there was one."""
    running = Worker(EXPERIMENT, spec(**changes), store).run()
    for update in running:
        if ends(update.event):
            running.close()
            return True
    return False


def finish(store: Store, **changes: Any) -> View:
    assert not run_until(store, lambda event: False, **changes)
    asked = spec(**changes)
    return View(store, EXPERIMENT, asked, load_table(asked.data, store.key).fingerprint)


def kept(view: View) -> tuple[list, dict]:
    """All that a store holds of the runs, without their times."""
    return [timeless(dict(row)) for row in view.results()], {name: view.series(name) for name in SERIES}


def checkpoint(method: str, number: int = 1) -> Callable[[Event], bool]:
    """After so many checkpoints of the trainings of a method."""
    seen = []

    def ends(event: Event) -> bool:
        if isinstance(event, Checkpoint) and f'"method":["{method}"]' in event.key:
            seen.append(event)
        return len(seen) == number

    return ends


def chunk(method: str, key: str = "trained ") -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Chunk) and event.key.startswith(key) and f'["{method}"]' in event.key


def write_csv(path: Path, examples: int = 300, people: int = 0, months: int = 0, seed: int = 0) -> Path:
    """A user's own table of two columns, perhaps with persons, of whom low numbers have more examples, and months."""
    random = np.random.default_rng(seed)
    columns: dict[str, Iterable[Any]] = {"label": random.integers(0, 2, examples)}
    columns |= {"colour": random.integers(0, 40, examples), "size": random.integers(0, 5, examples)}
    if people:
        columns["person"] = np.minimum(random.geometric(0.05, examples) - 1, people - 1)
    if months:
        columns["month"] = np.arange(examples) % months + 1
    rows = [",".join(str(value) for value in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *rows]) + "\n")
    return path


def write_months(path: Path, sizes: Sequence[int], people: int = 0) -> Path:
    """A user's own table whose months have these sizes; the last one is the test part."""
    write_csv(path, sum(sizes), people)
    header, *rows = path.read_text().splitlines()
    months = np.repeat(np.arange(len(sizes)) + 1, sizes)
    lines = [f"{row},{month}" for row, month in zip(rows, months, strict=True)]
    path.write_text("\n".join([f"{header},month", *lines]) + "\n")
    return path


def composed(plan: Plan) -> float:
    """Epsilon of a plan and of what it is charged with, by another library's accountant."""
    accountant = PLDAccountant()
    step = PoissonSampledDpEvent(plan.sample_rate, GaussianDpEvent(plan.noise_multiplier))
    accountant.compose(step, plan.steps)
    for event in plan.also:
        accountant.compose(event)
    return accountant.get_epsilon(plan.delta)


class Given:
    """What one training was given: of a `recorded` list."""

    def __init__(self, arguments: tuple, named: dict[str, Any]) -> None:
        self.tower, self.table, self.ids, self.labels, self.units, self.plan, self.method = arguments
        self.start = self.table.clone(), self.tower.flat.data.clone()
        self.active, self.vectors, self.rate = named["active"], named["vectors"], named["learning_rate"]
        self.draw, self.noise = named["draw_key"], named["noise_key"]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Given]:
    """Every training that is begun from now on."""
    begun: list[Given] = []

    class Recorded(training.EmbeddingTrainer):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            begun.append(Given(arguments, named))
            super().__init__(*arguments, **named)

    monkeypatch.setattr(training, "EmbeddingTrainer", Recorded)
    return begun
