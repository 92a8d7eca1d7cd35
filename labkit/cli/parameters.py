"""Arguments that several commands share, and the Spec they make."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from labkit import experiments
from labkit.errors import BadInput
from labkit.runs import Store, store_path
from labkit.runs.network import network_warning
from labkit.runs.store import FILE

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.runs.experiment import Experiment
    from labkit.spec import Spec


def add_experiment(command: argparse.ArgumentParser) -> None:
    """The experiment and its parameters."""
    command.add_argument("experiment", help="the notebook's number: " + ", ".join(experiments.names()))
    command.add_argument(
        "-p", "--parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="a parameter; what is not given takes the preset's value",
    )  # fmt: skip
    command.add_argument("--preset", help="quick (CPU and CI), full (one GPU), or another that the notebook has")
    command.add_argument("--device", help="auto, cpu or cuda")
    add_store(command)


def add_store(command: argparse.ArgumentParser) -> None:
    """The folder of the results."""
    command.add_argument(
        "--store", metavar="DIR", help="folder of the results; default: $LABKIT_STORE, else the checkout's"
    )


def given(args: argparse.Namespace, **more: str | None) -> dict[str, str]:
    """The parameters named on the command line, as they were typed.

    Raises:
        BadInput: one is given twice with different values.
    """
    pairs = [*args.parameter, ("preset", args.preset), ("device", args.device), ("store", args.store), *more.items()]
    found: dict[str, str] = {}
    for name, value in pairs:
        if value is None:
            continue
        if found.get(name, value) != value:
            raise BadInput(name, value, f"one value; {found[name]!r} was given too")
        found[name] = value
    return found


def checked(experiment: Experiment, spec: Spec) -> tuple[Store, Split]:
    """The Spec's store and data, after everything that can be wrong with them or the Spec was looked for; on a card
    that others share when it is this process's turn, since the check asks how much memory is free.

    Raises:
        BadInput: the store, the device or the data cannot be used, or the experiment's own check says no.
    """
    from labkit.device import resolve
    from labkit.runs.inputs import load_inputs
    from labkit.runs.turns import in_turn

    device = resolve(spec.device)
    store = opened(spec)
    data = load_inputs(spec, store)
    with in_turn(device, lambda words: print(f"labkit: {words}", file=sys.stderr)):
        experiment.check(spec, data)
    return store, data


def opened(spec: Spec) -> Store:
    """The Spec's store, to be written; says on stderr when it lies where SQLite's locks may fail.

    Raises:
        BadInput: it cannot be used.
    """
    path = store_path(spec.store)
    if fear := network_warning(path):
        print(f"labkit: warning: {fear}", file=sys.stderr)
    return Store(path)


def existing_store(args: argparse.Namespace) -> Store:
    """The store to read from.

    Raises:
        BadInput: there is none; reading makes no folders.
    """
    path = store_path(args.store or "")
    if not (path / FILE).exists():
        raise BadInput("store", str(path), f"a folder that holds runs; there is no {FILE}")
    return Store(path)
