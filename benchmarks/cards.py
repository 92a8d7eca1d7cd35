"""What two cards of one host make of notebook 02's frontier: plain processes, a card each, one store."""

from __future__ import annotations

import platform
import tempfile
import time

import torch

from labkit import experiments
from labkit.cluster.processes import ProcessPool
from labkit.cluster.sweep import Sweep
from labkit.device import describe, resolve
from labkit.errors import LabError
from labkit.runs import Store

FRONTIER = {"preset": "full", "seeds": 4, "epsilon": "0.5,1,2,4,8,16,clipped,plain", "landscape_size": 0}
TARGET = 1.9
Found = dict[tuple[str, int, str], float]


def frontier(workers: int) -> tuple[float, Found]:
    """Seconds of the frontier in so many processes, a card each, their start not counted; and every test accuracy."""
    experiment = experiments.get("02")
    spec = experiment.spec.of(**FRONTIER, device="cuda")
    with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        sweep = Sweep(experiment, spec, store, ProcessPool(workers, torch.cuda.device_count()))
        updates = sweep.run()
        next(update for update in updates if update.key is not None)
        began = time.perf_counter()
        for _ in updates:
            pass
        seconds = time.perf_counter() - began
        if sweep.failures:
            raise LabError(sweep.failures[0].error)
        rows = {(row["name"], row["seed"], row["arm"]): row["test_accuracy"] for row in store.results()}
    return seconds, rows


def main() -> None:
    print("\n## Two cards of one host\n")
    if torch.cuda.device_count() < 2:
        print(f"Not measured: this machine has {torch.cuda.device_count()} CUDA devices; it takes two.")
        return
    machine = f"{torch.cuda.device_count()} x {describe(resolve('cuda'))}"
    print(f"{machine}, torch {torch.__version__}, Python {platform.python_version()}, notebook 02 with {FRONTIER}\n")
    (two, there), (one, here) = frontier(2), frontier(1)
    print("| cards | seconds | ratio | target | results | the same as on one card |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| 1 | {one:.1f} | | | {len(here):,} | |")
    same = sum(there[key] == accuracy for key, accuracy in here.items()) if here.keys() == there.keys() else 0
    print(f"| 2 | {two:.1f} | {one / two:.2f}x | {TARGET:g}x | {len(there):,} | {same:,} |", flush=True)


if __name__ == "__main__":
    main()
