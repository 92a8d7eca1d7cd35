"""Timing ours and a named peer in one process: medians of interleaved runs, the machine named, a table printed."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from labkit.device import describe, resolve
from labkit.population.precision import matmul_precision

RUNS = 5


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        what: what is measured.
        peer: what it is measured against.
        unit: of the two rates.
        ours, theirs: rates; higher is better.
        target, aim: the ratios asked for; None where there is none.
        note: anything else measured beside it.
    """

    what: str
    peer: str
    unit: str
    ours: float
    theirs: float
    target: float | None = None
    aim: float | None = None
    note: str = ""


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of one call, the device's queue included."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def interleaved(device: torch.device, *works: Callable[[], object], tf32: bool = True) -> list[float]:
    """Median seconds of each work over RUNS rounds, in turn within each round, after one round of warming up."""
    with matmul_precision(tf32):
        for work in works:
            seconds(work, device)
        rounds = [[seconds(work, device) for work in works] for _ in range(RUNS)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a large copy on the device moves, counting bytes read and written."""
    size = 1 << (28 if device.type == "cuda" else 25)
    source, target = torch.ones(size, device=device), torch.empty(size, device=device)
    (median,) = interleaved(device, lambda: target.copy_(source))
    return 2 * 4 * size / median


def report(title: str, rows: list[Row]) -> None:
    """Print the table in Markdown."""
    device = resolve("auto")
    print(f"\n## {title}\n")
    print(f"{describe(device)}, torch {torch.__version__}, Python {platform.python_version()}, median of {RUNS}\n")
    print("| what | ours | peer | ratio | target | aim | beside it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for r in rows:
        goal = [f"{g:g}x" if g else "" for g in (r.target, r.aim)]
        ours, theirs = f"{r.ours:,.0f} {r.unit}", f"{r.theirs:,.0f} ({r.peer})"
        print(f"| {r.what} | {ours} | {theirs} | {r.ours / r.theirs:.1f}x | {goal[0]} | {goal[1]} | {r.note} |")
    print(flush=True)
