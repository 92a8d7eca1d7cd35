"""`labkit rm`: delete runs with all their replicates and files."""

from __future__ import annotations

import argparse

from labkit.cli import parameters


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("rm", help="delete runs", description=__doc__)
    command.add_argument("run", nargs="+", help="the first letters of its name")
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Delete each run that is named; none if one of the names is wrong."""
    with parameters.existing_store(args) as store:
        for name in [store.find(run) for run in args.run]:
            print(f"{name}: {store.remove(name)} replicates deleted")
    return 0
