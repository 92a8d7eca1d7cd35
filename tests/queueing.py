"""What processes run that queue for a card which need not be there."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA

from labkit.runs import Store, Update, Worker, worker
from labkit.runs.events import Progress
from labkit.runs.turns import Turns

POLL = 0.002


def run_all(started: Sequence[BaseProcess], seconds: float = 60.0) -> None:
    """Start processes and wait for them, at most for so long; all must end well."""
    for process in started:
        if process.pid is None:
            process.start()
    for process in started:
        process.join(seconds)
        process.kill()
        process.join()
    assert [process.exitcode for process in started] == [0] * len(started)


def until(updates: Iterator[Update], words: str) -> Update:
    """The first update whose progress begins so."""
    for update in updates:
        if isinstance(update.event, Progress) and update.event.what.startswith(words):
            return update
    raise AssertionError(f"nothing was said of {words}")


def log(path: Path, text: str) -> None:
    """Add a word to a file that others add to."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{text} ".encode())
    os.close(file)


def take(folder: Path, seats: int, place: int, path: Path, go: Path | None = None) -> None:
    """Have a turn, and log its beginning and end; it ends once `go` is there."""
    turns = Turns(folder, seats)
    while turns.come() is not None:
        time.sleep(POLL)
    log(path, f"+{place}")
    while go and not go.exists():
        time.sleep(POLL)
    time.sleep(0.01)
    log(path, f"-{place}")
    turns.leave()


def take_and_hold(folder: Path) -> None:
    """Have a turn and never end it."""
    turns = Turns(folder)
    assert turns.come() is None
    time.sleep(600)


def work_in_turn(path: Path, folder: Path, place: int, **parameters: object) -> None:
    """Run the fake experiment in turns, logging each piece's beginning and end; none ends before somebody waits."""

    def run(*given: object) -> Iterator[object]:
        log(path / "log", f"+{place}")
        while not (path / "all").exists():
            time.sleep(POLL)
        yield from EXPERIMENT.run(*given)
        log(path / "log", f"-{place}")

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    with Store(path / str(place)) as store, mock.patch.object(worker, "WAIT_SECONDS", 0.01):
        spec = FakeSpec.of(device="cpu", **parameters)
        runs = Worker(experiment, spec, store, load=lambda *unused: DATA, turns=Turns(folder))
        for update in runs.run():
            if getattr(update.event, "what", "").startswith("waiting for the GPU: 1 ahead"):
                (path / "all").touch()


def fill_a_card(path: Path, place: int, share: float) -> None:
    """As `work_in_turn`, on a card, each piece with this share of its memory, in the turns that a kernel takes."""
    import torch

    os.environ |= {"LABKIT_TURNS": str(path), "LABKIT_TURNS_SEATS": "1"}

    def run(point: FakeSpec, seed: int, given: object) -> Iterator[object]:
        log(path / "log", f"+{place}")
        total = torch.cuda.get_device_properties(given.device).total_memory
        kept = torch.ones(int(share * total), dtype=torch.uint8, device=given.device)
        while not (path / "all").exists():
            time.sleep(POLL)
        yield from EXPERIMENT.run(point, seed, given)
        assert bool(kept[-1])
        log(path / "log", f"-{place}")

    experiment = dataclasses.replace(EXPERIMENT, run=run)
    with Store(path / str(place)) as store:
        spec = FakeSpec.of(device="cuda", sparsity="0.5", seeds=3, steps=5)
        for update in Worker(experiment, spec, store, load=lambda *unused: DATA).run():
            if getattr(update.event, "what", "").startswith("waiting for the GPU: 1 ahead"):
                (path / "all").touch()
