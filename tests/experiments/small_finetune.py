"""Notebook 05 in seconds: a network of 250 numbers, 8 x 8 digits, a few steps, and what its events and store say."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from torch import nn

from labkit.data import Part, Split, load, split
from labkit.experiments import get
from labkit.experiments.finetune import limits
from labkit.experiments.finetune.lab import Lab
from labkit.experiments.finetune.run import run
from labkit.experiments.finetune.spec import METHODS, FinetuneSpec
from labkit.finetune import models
from labkit.finetune.network import Network, Transform, in_order
from labkit.privacy import Plan, PrivateTrainer
from labkit.runs import Store, Worker
from labkit.runs.events import Artifact, Checkpoint, Chunk, Event, Point, Result
from labkit.runs.experiment import Job, Resources
from labkit.runs.view import View

EXPERIMENT = get("05")
SMALL = {
    "data": "digits", "model": "svhn-cnn", "method": "all,random", "epsilon": "8", "sparsity": "0.6", "layers": 2,
    "budget": 3, "lora_rank": 2, "batch_size": 24, "epochs": 1.0, "evaluations": 2, "seeds": 1, "learning_rate": 0.5,
    "landscape_size": 0, "device": "cpu",
}  # fmt: skip
MANY = {
    "method": ",".join(METHODS), "epsilon": "8,2,plain", "layers": 0, "warmup": "0,0.5", "scope": "layer,global",
}  # fmt: skip
N = 90  # training images: at a batch of 24 an epoch is four steps
SERIES = ("curve", "spent", "ledger")
TIMES = {"seconds_per_step"}  # of the results, what no seed decides
CONVOLUTIONS, MIDDLE, HEAD = "0", "4", "6"  # the weight layers

Told = list[tuple[int, Event]]


def build(files: object, classes: int, norms: bool = True, biases: bool = True) -> Network:
    """A convolution with a norm, a layer of six nodes and the head; the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        layers = [
            nn.Conv2d(1, 3, 3, stride=2, bias=False), nn.BatchNorm2d(3).eval() if norms else nn.Identity(), nn.Tanh(),
            nn.Flatten(), nn.Linear(27, 6, bias=biases), nn.Tanh(), nn.Linear(6, classes),
        ]  # fmt: skip
    said = f"the head is replaced by a new one for {classes} classes"
    return Network("small", in_order(layers), HEAD, Transform((8, 8), 1, (0.3,), (0.4,)), said)


@contextlib.contextmanager
def patched(make: Callable[..., Network] = build) -> Iterator[None]:
    """The small network wherever the vendored one is asked for; the device's rate is not measured before each run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("labkit.device.flops_rate", lambda device: 2e10)
        patch.setitem(models.FAMILIES, "svhn-cnn", make)
        limits.loaded.cache_clear()
        yield
    limits.loaded.cache_clear()


@cache
def images() -> Split:
    whole = split(load("digits"), 0)
    parts = {"train": N, "selection": 40, "test": 50}
    kept = {name: Part(getattr(whole, name).x[:count], getattr(whole, name).y[:count]) for name, count in parts.items()}
    return Split(whole.name, whole.fingerprint, **kept, classes=whole.classes, mean=whole.mean, std=whole.std)


def spec(**changes: Any) -> FinetuneSpec:
    return EXPERIMENT.spec.of(**(SMALL | changes))


def point(**changes: Any) -> FinetuneSpec:
    """The only point of one method, which is not the one that always runs beside."""
    found = [one for one in spec(**changes).points() if one.method[0] == changes.get("method", "random")]
    assert len(found) == 1
    return found[0]


def jobs(**changes: Any) -> list[Job]:
    made = spec(**changes)
    return [Job(one, seed) for one in made.points() for seed in made.replicate_seeds()]


def resources(**kept: Any) -> Resources:
    return Resources(torch.device("cpu"), images(), **kept)


def lab(some: list[Job] | None = None, /, **changes: Any) -> Lab:
    return Lab(some or jobs(**changes), resources())


def told(some: list[Job], **kept: Any) -> Told:
    return list(run(some, resources(**kept)))


def results(events: Told) -> dict[int, dict[str, Any]]:
    """The values of each job's result, its arm among them, without times."""
    found = {place: {"arm": e.arm, **e.values} for place, e in events if isinstance(e, Result)}
    return {place: timeless(values) for place, values in found.items()}


def timeless(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in TIMES}


def chunks(events: Told) -> dict[str, dict[str, torch.Tensor]]:
    return {event.key: dict(event.tensors) for _, event in events if isinstance(event, Chunk)}


def points(events: Told, series: str) -> list[tuple[int, dict[str, Any]]]:
    return [(place, dict(e.values)) for place, e in events if isinstance(e, Point) and e.series == series]


def artifacts(events: Told) -> list[tuple[int, Artifact]]:
    return [(place, event) for place, event in events if isinstance(event, Artifact)]


def run_until(store: Store, ends: Callable[[Event], bool], **changes: Any) -> bool:
    """Run until an event is one at which to stop, and close the generator; whether there was one."""
    running = Worker(EXPERIMENT, spec(**changes), store, load=lambda asked, where: images()).run()
    for update in running:
        if ends(update.event):
            running.close()
            return True
    return False


def finish(store: Store, **changes: Any) -> View:
    assert not run_until(store, lambda event: False, **changes)
    return View(store, EXPERIMENT, spec(**changes), images().fingerprint)


def after(number: int, kind: type[Event] = Event) -> Callable[[Event], bool]:
    """At the n-th event of a kind."""
    seen = []

    def ends(event: Event) -> bool:
        if isinstance(event, kind):
            seen.append(event)
        return len(seen) == number

    return ends


def kept(view: View) -> tuple[list, dict]:
    """All that a store holds of the runs, without their times."""
    return [timeless(dict(row)) for row in view.results()], {name: view.series(name) for name in SERIES}


def checkpoint(words: str, number: int = 1) -> Callable[[Event], bool]:
    """After so many checkpoints whose name holds some words."""
    seen = []

    def ends(event: Event) -> bool:
        if isinstance(event, Checkpoint) and words in event.key:
            seen.append(event)
        return len(seen) == number

    return ends


def chunk(*words: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Chunk) and all(word in event.key for word in words)


def composed(plan: Plan, steps: int | None = None) -> float:
    """Epsilon of some steps of a plan and of what else it is charged with, by another library's accountant."""
    accountant = PLDAccountant()
    step = PoissonSampledDpEvent(plan.sample_rate, GaussianDpEvent(plan.noise_multiplier))
    accountant.compose(step, plan.steps if steps is None else steps)
    return accountant.get_epsilon(plan.delta)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[PrivateTrainer]:
    """Every private training that is begun from now on, with the keys of its draws and what it begins with."""
    begun: list[PrivateTrainer] = []
    made = PrivateTrainer.__init__

    def record(self: PrivateTrainer, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self.draw_keys = tuple(named["draw_keys"])
        self.start = {name: tensor.clone() for name, tensor in self.params.items()}
        begun.append(self)

    monkeypatch.setattr(PrivateTrainer, "__init__", record)
    return begun


def batch(trainer: PrivateTrainer, step: int, member: int = 0) -> list[int]:
    """Row numbers of the images that a member's step is given."""
    first, end = trainer._slots(step), trainer._slots(step + 1)
    rows = trainer.rows[first:end, int(trainer.groups[member])].flatten()
    return sorted(rows[rows >= 0].tolist())
