"""What the processes run that the tests kill; a fork server that has torch loaded makes each of them cheap."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from fake_experiment import EXPERIMENT, FakeSpec

from labkit.runs import Store, Worker, files, worker
from labkit.runs.database import Database
from labkit.runs.experiment import Experiment

DATA = SimpleNamespace(fingerprint="f" * 64)


def processes() -> multiprocessing.context.BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "killable"])
    return context


def work(path: Path, checkpoint_seconds: float, *, experiment: Experiment = EXPERIMENT, **parameters: object) -> None:
    """Run the fake experiment to its end, with checkpoints and rows written as often as asked."""
    points = min(checkpoint_seconds, worker.POINTS_SECONDS)
    often = {"CHECKPOINT_SECONDS": checkpoint_seconds, "POINTS_SECONDS": points, "WAIT_SECONDS": 0.02}
    spec = FakeSpec.of(**({"device": "cpu"} | parameters))
    with mock.patch.multiple(worker, **often), Store(path) as store:
        for _ in Worker(experiment, spec, store, load=lambda spec, store: DATA).run():
            pass


def work_and_die(path: Path, step: int, **parameters: object) -> None:
    """Like `work`, but SIGKILL itself at a step, counting each flush, rename, deletion and end of a transaction."""
    left = iter(range(step - 1, -1, -1))

    def count() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(function):
        def called(*args, **options):
            count()
            return function(*args, **options)

        return called

    original = Database.write

    @contextlib.contextmanager
    def write(self, **options):
        count()
        with original(self, **options) as connection:
            yield connection
            count()
        count()

    Database.write = write
    files.os = SimpleNamespace(**(vars(os) | {"fsync": counting(os.fsync), "replace": counting(os.replace)}))
    Path.unlink = counting(Path.unlink)
    work(path, 0.0, **parameters)
