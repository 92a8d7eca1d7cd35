"""`labkit sweep`: an experiment over a grid, in this process and without a notebook."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time

from labkit import experiments
from labkit.cli import parameters
from labkit.cli.dry_run import duration
from labkit.errors import BadInput
from labkit.runs import Update, View, Worker
from labkit.runs.events import Progress

TERMINAL_SECONDS, LOG_SECONDS = 0.2, 10.0


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("sweep", help="run an experiment over a grid", description=__doc__)
    parameters.add_experiment(command)
    command.add_argument("--grid", action="append", default=[], metavar="NAME=a,b", help="values of a parameter")
    command.add_argument("--seeds", metavar="N", help="replicates of each grid point")
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Run what the store does not hold yet, then print the verdict."""
    experiment = experiments.get(args.experiment)
    spec = experiment.spec.of(**parameters.given(args, **grids(args.grid), seeds=args.seeds))
    store, data = parameters.checked(experiment, spec)
    with store:
        line = Line()
        try:
            with contextlib.closing(Worker(experiment, spec, store, load=lambda spec, store: data).run()) as updates:
                for update in updates:
                    line.show(update)
        finally:
            line.end()
        print(experiment.verdict_words(View(store, experiment, spec, data.fingerprint)))
    return 0


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
