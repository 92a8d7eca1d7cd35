"""A class in one room: many kernels run notebook 00 at once on this machine: `make class`.

Each learner has a kernel and a store. What is printed: whether all finished, how long the last one waited for its first
chart, and how much memory a kernel held at its peak.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from labkit import experiments
from labkit.cli.notebook import kernel_manager
from labkit.errors import BadInput
from labkit.runs import notebooks_path

LOOK_SECONDS = 0.25
START_SECONDS = 900  # the last of many kernels on two cores is slow to answer
TARGET_MB = 700
MB = 1e6
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a kernel's traceback


@dataclass
class Learner:
    """What became of one kernel.

    Args:
        chart: seconds from the room's start to its first picture; None without one.
        ended: seconds to its end.
        peak: bytes of memory that it alone held, at the highest that was seen.
        resident: the same with what it shares with others (libraries).
        error: in a line; empty if it finished.
    """

    chart: float | None = None
    ended: float = 0.0
    peak: int = 0
    resident: int = 0
    error: str = ""


async def room(kernels: int, notebook: NotebookNode, folder: Path) -> list[Learner]:
    """Run a notebook in so many kernels at once, each with a store of its own in the folder."""
    began = time.monotonic()
    return await asyncio.gather(*(_learn(notebook, folder / f"{n}", began) for n in range(kernels)))


async def _learn(notebook: NotebookNode, folder: Path, began: float) -> Learner:
    learner = Learner()
    folder.mkdir()

    def executed(cell: NotebookNode, **_: object) -> None:
        shown = any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
        if shown and learner.chart is None:
            learner.chart = time.monotonic() - began

    with (folder / "said").open("w") as said:
        client = NotebookClient(
            nbformat.from_dict(notebook), timeout=None, startup_timeout=START_SECONDS, on_cell_executed=executed,
            kernel_manager_class=kernel_manager(said, {"LABKIT_STORE": str(folder / "store"), "LABKIT_LIVE": "0"}),
            resources={"metadata": {"path": str(folder)}},
        )  # fmt: skip
        watching = asyncio.create_task(_watch(client, learner))
        try:
            await client.async_execute()
        except (CellExecutionError, DeadKernelError, RuntimeError) as error:
            last = COLOURS.sub("", str(error)).strip().rpartition("\n")[2]
            learner.error = f"{type(error).__name__}: {last}"
        finally:
            learner.ended = time.monotonic() - began
            watching.cancel()
    return learner


async def _watch(client: NotebookClient, learner: Learner) -> None:
    """Look at the kernel's memory now and then, until it is gone."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        pid = getattr(getattr(client.km, "provisioner", None), "pid", None)
        if pid is None:
            continue
        try:
            memory = psutil.Process(pid).memory_full_info()
        except psutil.NoSuchProcess:
            return
        learner.peak = max(learner.peak, getattr(memory, "uss", memory.rss))
        learner.resident = max(learner.resident, memory.rss)


def table(learners: list[Learner]) -> str:
    """The figures, in Markdown."""
    charts = [learner.chart for learner in learners if learner.chart is not None]
    finished = sum(not learner.error for learner in learners)
    rows = {
        "kernels that finished": f"{finished} of {len(learners)}",
        "first chart: the first, the median, the last": _seconds(min, statistics.median, max, values=charts),
        "end: the first, the median, the last": _seconds(
            min, statistics.median, max, values=[learner.ended for learner in learners]
        ),
        f"memory of a kernel alone, peak (target {TARGET_MB} MB)": f"{_most(learners, 'peak')} MB",
        "memory of a kernel with what it shares, peak": f"{_most(learners, 'resident')} MB",
    }
    return "\n".join(
        ["| what | measured |", "| --- | --- |", *(f"| {what} | {found} |" for what, found in rows.items())]
    )


def _seconds(*of: object, values: list[float]) -> str:
    return ", ".join(f"{pick(values):.1f} s" for pick in of) if values else "none"


def _most(learners: list[Learner], what: str) -> str:
    return f"{max(getattr(learner, what) for learner in learners) / MB:,.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Run the class and print its figures.

    Returns:
        0 if every kernel finished within the memory that is asked for, else 1.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kernels", type=int, default=30)
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter")
    given = parser.parse_args(arguments)
    if not 1 <= given.kernels <= 1000:
        raise BadInput("kernels", given.kernels, "1 to 1000")
    path = notebooks_path() / f"{experiments.get('00').notebook}.ipynb"
    notebook = parameterize_notebook(load_notebook_node(str(path)), dict(given.p))
    # A kernel that computes with all cores beside 29 others spends them on waiting for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        learners = asyncio.run(room(given.kernels, notebook, Path(folder)))
    memory = psutil.virtual_memory().total / 2**30
    print(
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, notebook 00 at preset quick\n"
    )
    print(table(learners))
    for number, learner in enumerate(learners):
        if learner.error:
            print(f"kernel {number}: {learner.error}", file=sys.stderr)
    fits = all(learner.peak < TARGET_MB * MB for learner in learners)
    return 0 if fits and not any(learner.error for learner in learners) else 1


if __name__ == "__main__":
    raise SystemExit(main())
