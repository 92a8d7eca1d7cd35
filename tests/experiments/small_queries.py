"""Notebook 03 in seconds: forty documents, a few steps, and what its events and its store say."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from labkit.data.corpora import load_corpus
from labkit.data.corpus import Corpus
from labkit.experiments import get
from labkit.experiments.queries.lab import Lab
from labkit.experiments.queries.run import run
from labkit.experiments.queries.spec import QueriesSpec
from labkit.runs import Store, Worker
from labkit.runs.events import Checkpoint, Chunk, Event, Point, Result
from labkit.runs.experiment import Job, Resources
from labkit.runs.view import View

EXPERIMENT = get("03")
SMALL = {
    "documents": 40, "epsilon": "3,plain", "batch_size": 12, "epochs": 0.5, "prompt_tokens": 20, "query_tokens": 8,
    "queries_per_document": 1, "encoder_width": 8, "encoder_steps": 3, "encoder_batch": 8,
    "direct_steps": 3, "logit_steps": 3,
    "direct_batch": 6, "negatives": 3, "logit_batch": 4, "canaries": 1, "canary_repeats": "1,3", "alternatives": 7,
    "lora_rank": 2, "evaluations": 2, "device": "cpu",
}  # fmt: skip

STOPPED = {"epsilon": "3", "evaluations": 3}  # a Spec that is stopped and resumed, with a look after each step
SERIES = ("curve", "samples", "spent", "ledger", "exposure")

Told = list[tuple[int, Event]]


@lru_cache(maxsize=1)
def hpo() -> Corpus:
    return load_corpus("hpo")


def spec(**changes: Any) -> QueriesSpec:
    return EXPERIMENT.spec.of(**(SMALL | changes))


def jobs(**changes: Any) -> list[Job]:
    made = spec(**changes)
    return [Job(point, seed) for point in made.points() for seed in made.replicate_seeds()]


def resources(corpus: Corpus | None = None, **kept: Any) -> Resources:
    return Resources(torch.device("cpu"), corpus or hpo(), **kept)


def lab(**changes: Any) -> Lab:
    return Lab(jobs(**changes), resources())


def told(some: list[Job], **kept: Any) -> Told:
    return list(run(some, resources(**kept)))


def results(events: Told) -> dict[tuple[int, str], dict[str, Any]]:
    """The values of each result by the place of its job and its arm."""
    return {(place, event.arm): dict(event.values) for place, event in events if isinstance(event, Result)}


def chunks(events: Told) -> dict[str, dict[str, torch.Tensor]]:
    return {event.key: dict(event.tensors) for _, event in events if isinstance(event, Chunk)}


def points(events: Told, series: str) -> list[tuple[int, dict[str, Any]]]:
    return [(place, dict(e.values)) for place, e in events if isinstance(e, Point) and e.series == series]


def run_until(store: Store, ends: Callable[[Event], bool], **changes: Any) -> bool:
    """Run until an event is one at which to stop, and close the generator; whether there was one."""
    asked = spec(**STOPPED | changes)
    running = Worker(EXPERIMENT, asked, store, load=lambda spec, store: hpo()).run()
    for update in running:
        if ends(update.event):
            running.close()
            return True
    return False


def finish(store: Store, **changes: Any) -> View:
    assert not run_until(store, lambda event: False, **changes)
    return View(store, EXPERIMENT, spec(**STOPPED | changes), hpo().fingerprint)


def kept(view: View) -> tuple[list, dict]:
    return list(view.results()), {name: view.series(name) for name in SERIES}


def step(work: str, number: int) -> Callable[[Event], bool]:
    """After so many checkpoints of a training."""
    seen = []

    def ends(event: Event) -> bool:
        if isinstance(event, Checkpoint) and event.key.startswith(f"training-{work} at"):
            seen.append(event)
        return len(seen) == number

    return ends


def chunk(key: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Chunk) and event.key.startswith(key)
