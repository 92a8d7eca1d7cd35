"""What two cards of one host make of notebook 02: plain processes, a card each, one store."""

from __future__ import annotations

import platform
import tempfile
import time
from typing import Any

import torch

from labkit import experiments
from labkit.cluster.processes import ProcessPool
from labkit.cluster.sweep import Sweep
from labkit.device import describe, resolve
from labkit.errors import LabError
from labkit.runs import Store

FRONTIER = {"preset": "full", "seeds": 4, "epsilon": "0.5,1,2,4,8,16,clipped,plain", "landscape_size": 0}
# One program's networks, which two cards share by seeds.
POPULATION = {
    "preset": "full",
    "seeds": 40,
    "epsilon": "2",
    "learning_rate": 0.5,
    "clip_norm": 1.0,
    "landscape_size": 0,
}
TARGET = 1.9
Found = dict[tuple[str, int, str], float]


def swept(given: dict[str, Any], workers: int) -> tuple[float, Found]:
    """Seconds of a sweep in so many processes, a card each, their start not counted; and every test accuracy."""
    experiment = experiments.get("02")
    spec = experiment.spec.of(**given, device="cuda")
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


def compare(what: str, given: dict[str, Any], target: str) -> None:
    """Print what two cards did, and how far their numbers are from one card's."""
    (two, there), (one, here) = swept(given, 2), swept(given, 1)
    if here.keys() != there.keys():
        raise LabError(f"{what}: {len(here)} results on one card, {len(there)} on two")
    apart = [abs(there[key] - accuracy) for key, accuracy in here.items()]
    same = f"{apart.count(0.0):,} of {len(apart):,}"
    print(f"| {what} | {one:.1f} | {two:.1f} | {one / two:.2f}x | {target} | {same} | {max(apart):.4f} |", flush=True)


def main() -> None:
    print("\n## Two cards of one host\n")
    if torch.cuda.device_count() < 2:
        print(f"Not measured: this machine has {torch.cuda.device_count()} CUDA devices; it takes two.")
        return
    machine = f"{torch.cuda.device_count()} x {describe(resolve('cuda'))}"
    print(f"{machine}, torch {torch.__version__}, Python {platform.python_version()}, notebook 02, one sweep each:")
    print(f"frontier {FRONTIER}, population {POPULATION}\n")
    print("| what | one card, s | two cards, s | ratio | target | same accuracy | furthest apart |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    compare("one epsilon's population, divided by seeds", POPULATION, "")
    compare("frontier of 8 epsilons", FRONTIER, f"{TARGET:g}x")


if __name__ == "__main__":
    main()
