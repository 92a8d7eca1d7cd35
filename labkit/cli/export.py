"""`labkit export`: runs as JSON or as a table (CSV, Parquet), trained weights, other arrays, synthetic queries."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labkit import experiments
from labkit.cli import parameters, queries, tables, weights
from labkit.errors import BadInput
from labkit.runs import Store
from labkit.runs.reader import key_of
from labkit.runs.released import PREFIX


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("export", help="take runs out of the store", description=__doc__)
    command.add_argument("run", nargs="+", help="the first letters of its name")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="one row per result, grid point by grid point")
    form.add_argument("--parquet", action="store_true", help="the rows of --csv with types, into the file OUT")
    form.add_argument(
        "--weights",
        action="store_true",
        help="trained weights and adapters as safetensors, each with its model card, into the folder OUT",
    )
    form.add_argument(
        "--arrays",
        action="store_true",
        help="the other arrays of a run (scores, landscapes), one file each, into the folder OUT",
    )
    form.add_argument(
        "--queries",
        action="store_true",
        help="the synthetic queries of one run and where they come from, as JSON lines",
    )
    command.add_argument(
        "--replicate", metavar="SEED-DEVICE", help="with --queries or --weights: which of several, such as 0-cuda"
    )
    command.add_argument(
        "--arm", action="append", default=[], help="with --weights: of what, such as lora; may be given several times"
    )
    command.add_argument(
        "--not-private",
        action="store_true",
        help="with --queries or --weights: write also what has no guarantee, and mark it as such",
    )
    command.add_argument(
        "-o", "--output", metavar="OUT", help="default: the terminal; for --weights and --arrays the folder export"
    )
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write the runs out."""
    if not (args.queries or args.weights) and (args.replicate or args.not_private):
        name, given = ("replicate", args.replicate) if args.replicate else ("not-private", True)
        raise BadInput(name, given, "with --queries or --weights alone")
    if args.arm and not args.weights:
        raise BadInput("arm", args.arm[0], "with --weights alone")
    if args.parquet and args.output is None:
        raise BadInput("output", None, "a file, -o FILE: Parquet is nothing for a terminal")
    with parameters.existing_store(args) as store:
        names = [store.find(run) for run in args.run]
        folder = Path(args.output or "export")
        if args.weights:
            given = {"replicate": args.replicate, "arms": args.arm, "not_private": args.not_private}
            print(*weights.write(store, names, folder, **given), sep="\n")
            return 0
        if args.arrays:
            print(*store.export(names, folder, kept_back(store, names)), sep="\n")
            return 0
        if args.queries:
            if len(names) > 1:
                raise BadInput("run", " ".join(args.run), "one run with --queries: each is a release of its own")
            content = queries.as_jsonl(store, names[0], args.replicate, not_private=args.not_private)
        else:
            write = tables.as_parquet if args.parquet else tables.as_csv if args.csv else tables.as_json
            content = write(store, names, not_private(store, names))
    if args.output is None:
        sys.stdout.write(content)
    else:
        tables.put(args.output, content)
    return 0


def kept_back(store: Store, names: list[str]) -> set[str]:
    """What is left out of the arrays: also what leaves the store with its provenance alone, queries and weights."""
    keys = [key_of(row) for name in names for row in store.replicates(name=name)]
    stored = dict.fromkeys(artifact for key in keys for artifact in store.artifacts(key))
    with_card = [artifact for artifact in stored if artifact.startswith(PREFIX)]
    for artifacts, option in (([a for a in stored if a == queries.ARTIFACT], "queries"), (with_card, "weights")):
        if artifacts:
            told = f"left out: {', '.join(artifacts)}; --{option} writes it with its provenance"
            print(f"labkit: {told}", file=sys.stderr)
    return not_private(store, names) | {queries.ARTIFACT, *with_card}


def not_private(store: Store, names: list[str]) -> set[str]:
    """What exports leave out: exact statistics of private data, which no guarantee covers. Said on stderr."""
    known = {row["experiment"] for name in names for row in store.replicates(name=name)} & set(experiments.names())
    hidden = {field for key in known for field in experiments.get(key).not_private}
    if hidden:
        print(f"labkit: left out, not private: {', '.join(sorted(hidden))}", file=sys.stderr)
    return hidden
