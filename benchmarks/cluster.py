"""What a sweep costs beside its runs."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks import empty_experiment
from labkit.cluster.processes import ProcessPool
from labkit.cluster.ray_pool import RayPool
from labkit.cluster.sweep import Sweep
from labkit.device import describe, resolve
from labkit.runs import Store, Update, Worker

RUNS_OF_NOTHING = 1000
TARGET_MS = 50.0
HOME = "benchmarks.empty_experiment"


def overhead(name: str, make: Callable[[Store], Iterator[Update]]) -> None:
    """Print milliseconds a run, from the first run's start to the last one's end, and bytes in the store."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with Store(folder) as store:
            updates = make(store)
            next(update for update in updates if update.key is not None)
            first = time.perf_counter()
            for _ in updates:
                pass
            ended = time.perf_counter()
            finished = sum(row["status"] == "finished" for row in store.replicates())
        size = (Path(folder) / "labkit.sqlite").stat().st_size / finished
    each = 1e3 * (ended - first) / (finished - 1)
    print(
        f"| {name} | {finished:,} | {first - began:.1f} s | {each:.1f} ms | {TARGET_MS:g} ms | {size:,.0f} |",
        flush=True,
    )


def main() -> None:
    experiment = empty_experiment.EXPERIMENT
    spec = experiment.spec.of(seeds=RUNS_OF_NOTHING, device="cpu")
    print(f"\n## A sweep of {RUNS_OF_NOTHING:,} runs that do nothing\n")
    print(
        f"{describe(resolve('auto'))}, torch {torch.__version__}, Python {platform.python_version()}, one sweep each\n"
    )
    print("| where | runs | until the first | a run | target | bytes a run in the store |")
    print("| --- | --- | --- | --- | --- | --- |")
    overhead("this process", lambda store: Worker(experiment, spec, store).run())
    overhead("two processes", lambda store: Sweep(experiment, spec, store, ProcessPool(2), home=HOME).run())
    overhead(
        "Ray, two cores or more",
        lambda store: Sweep(experiment, spec, store, RayPool("local", device="cpu"), home=HOME).run(),
    )


if __name__ == "__main__":
    main()
