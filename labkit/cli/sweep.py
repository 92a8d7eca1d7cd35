"""`labkit sweep`: an experiment over a grid without a notebook, in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from labkit import experiments
from labkit.cli import parameters
from labkit.cli.dry_run import duration
from labkit.cli.table import printable
from labkit.device import cards
from labkit.errors import BadInput, LabError
from labkit.runs import Update, View, Worker
from labkit.runs.events import Progress
from labkit.runs.several import SomeTurns, turns_on

if TYPE_CHECKING:
    from labkit.cluster.seats import Pool
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 10.0


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("sweep", help="run an experiment over a grid", description=__doc__)
    parameters.add_experiment(command)
    command.add_argument("--grid", action="append", default=[], metavar="NAME=a,b", help="values of a parameter")
    command.add_argument("--seeds", metavar="N", help="replicates of each grid point")
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, metavar="N", help="run in N processes of this machine")
    where.add_argument(
        "--ray", metavar="ADDRESS", help="run on Ray: local, or host:port of a cluster (extra [cluster])"
    )
    command.add_argument("--gpus-per-run", type=float, metavar="G", help="cards of one run on Ray; 0.5 shares one")
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Run what the store does not hold yet, then print the verdict.

    Raises:
        LabError: replicates failed elsewhere; each is named on stderr before, and all others are done.
    """
    experiment = experiments.get(args.experiment)
    spec = experiment.spec.of(**parameters.given(args, **grids(args.grid), seeds=args.seeds))
    if args.gpus_per_run is not None and not args.ray:
        raise BadInput("gpus_per_run", args.gpus_per_run, "nothing without --ray")
    if args.ray or args.workers is not None:
        return _elsewhere(args, experiment, spec)
    store, data = parameters.checked(experiment, spec)
    with store:
        _show(Worker(experiment, spec, store, load=lambda spec, store: data).run())
        print(experiment.verdict_words(View(store, experiment, spec, data.fingerprint)))
    return 0


def _elsewhere(args: argparse.Namespace, experiment: Experiment, spec: Spec) -> int:
    """Run in other processes, which look for themselves whether the Spec can be run there."""
    from labkit.cluster.sweep import Sweep

    with parameters.opened(spec) as store:
        pool, turns = _place(args, spec)
        sweep = Sweep(experiment, spec, store, pool, turns=turns)
        _show(sweep.run())
        for failure in sweep.failures:
            print(printable(f"failed: {failure.key}: {' '.join(failure.error.split())}"), file=sys.stderr)
        if sweep.lost:
            print(f"workers that died and were replaced: {sweep.lost}", file=sys.stderr)
        if sweep.failures:
            raise LabError(f"{len(sweep.failures)} replicates failed; the same command tries them again")
        print(experiment.verdict_words(View(store, experiment, spec, sweep.fingerprint)))
    return 0


def _place(args: argparse.Namespace, spec: Spec) -> tuple[Pool, SomeTurns]:
    """Where it is run, and the turns on its cards; on a cluster Ray deals them out."""
    if args.ray:
        from labkit.cluster.ray_pool import LOCAL, RayPool

        turns = turns_on(cards(spec.device) if args.ray == LOCAL else [])
        return RayPool(args.ray, args.gpus_per_run, spec.device), turns
    from labkit.cluster.processes import ProcessPool

    found = cards(spec.device, args.workers)
    return ProcessPool(args.workers, len(found)), turns_on(found)


def _show(updates: Generator[Update, None, None]) -> None:
    line = Line()
    try:
        with contextlib.closing(updates):
            for update in updates:
                line.show(update)
    finally:
        line.end()


def grids(given: list[str]) -> dict[str, str]:
    """NAME=a,b as name and values.

    Raises:
        BadInput: an item has no `=`.
    """
    for item in given:
        if "=" not in item:
            raise BadInput("grid", item, "NAME=a,b")
    return dict(item.split("=", 1) for item in given)


class Line:
    """Progress on stderr: one line that is written over on a terminal, a line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0
        self._last: Update | None = None

    def show(self, update: Update) -> None:
        """Say how far it is, if it is time to."""
        self._last = update
        now = time.monotonic()
        if isinstance(update.event, Progress) and now >= self._next:
            self._next = now + (TERMINAL_SECONDS if self._terminal else LOG_SECONDS)
            left = "" if update.seconds_left is None else f", {duration(update.seconds_left)} left"
            self._write(f"{_done(update)}{left}: {update.event.what}", "")

    def end(self) -> None:
        """Say how far it came, and leave the line."""
        if self._last is not None:
            self._write(_done(self._last), "\n")

    def _write(self, text: str, end: str) -> None:
        text, end = (f"\r\033[K{text}", end) if self._terminal else (text, "\n")
        print(text, end=end, file=sys.stderr, flush=True)


def _done(update: Update) -> str:
    return f"{update.done:.3g} of {update.total:g} replicates"
