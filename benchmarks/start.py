"""How long one waits: importing labkit, and the first point of the chart after Run."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.common import RUNS
from labkit.device import describe, resolve
from labkit.experiments import get
from labkit.runs import Store, Worker
from labkit.runs.events import Point


def import_seconds(module: str) -> float:
    """Median seconds of `import module` in a fresh interpreter, the interpreter's own start taken off."""

    def once(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    return statistics.median(max(0.0, once(f"import {module}") - once("pass")) for _ in range(RUNS))


def first_point_seconds() -> float:
    """Median seconds from starting a Worker on notebook 01 to its first point in the store, the data being loaded."""
    experiment, times = get("01"), []
    for seed in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
            start = time.perf_counter()
            updates = Worker(experiment, experiment.spec.of(seed=seed, seeds=1, sparsity=0.5), store).run()
            for update in updates:
                if isinstance(update.event, Point):
                    times.append(time.perf_counter() - start)
                    break
            updates.close()
    return statistics.median(times[1:])  # the first loads libraries


def panel_seconds() -> float | None:
    """Median seconds to make the live panel of notebook 01, imports done; None where ipywidgets is not installed."""
    if importlib.util.find_spec("ipywidgets") is None or importlib.util.find_spec("anywidget") is None:
        return None
    from widgets import LivePanel

    os.environ["LABKIT_LIVE"] = "1"
    times = []
    for _ in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            LivePanel(get("01").spec.of(store=folder))
            times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    print(f"\n## Waiting\n\n{describe(resolve('auto'))}, median of {RUNS}\n")
    print("| what | seconds | target |\n| --- | --- | --- |")
    print(f"| import labkit | {import_seconds('labkit'):.2f} | 0.5 |")
    print(f"| import labkit.experiments and its registry | {import_seconds('labkit.experiments'):.2f} | |")
    panel = panel_seconds()
    print(f"| the panel, imports done | {'not measured: no ipywidgets' if panel is None else f'{panel:.2f}'} | 3 |")
    goal = "0.3" if resolve("auto").type == "cuda" else ""
    print(f"| first chart point after Run | {first_point_seconds():.2f} | {goal} |", flush=True)


if __name__ == "__main__":
    main()
