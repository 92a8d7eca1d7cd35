"""`labkit fetch`: download a data set of the Hub, the only command that uses the network."""

from __future__ import annotations

import argparse

from labkit.errors import BadInput


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("fetch", help="download a data set", description=__doc__)
    command.add_argument("name", help="hub:NAME or hub:OWNER/NAME")
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Download, and print where the copy lies."""
    if not args.name.startswith("hub:"):
        raise BadInput("data", args.name, "hub:NAME; everything else is here already")
    from labkit.data import hub

    print(hub.fetch(args.name))
    return 0
