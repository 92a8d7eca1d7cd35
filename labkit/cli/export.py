"""`labkit export`: runs as JSON, as a table for a spreadsheet, or their arrays as safetensors files."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from labkit import experiments
from labkit.cli import parameters
from labkit.cli.runs import plain
from labkit.errors import BadInput
from labkit.runs import Store
from labkit.runs.reader import KEY_FIELDS, key_of


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("export", help="take runs out of the store", description=__doc__)
    command.add_argument("run", nargs="+", help="the first letters of its name")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="one row per result, grid point by grid point")
    form.add_argument(
        "--weights", action="store_true", help="the artifacts' arrays, one file each, into the folder OUT"
    )
    command.add_argument("-o", "--output", metavar="OUT", help="default: the terminal; for --weights the folder export")
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Write the runs out."""
    with parameters.existing_store(args) as store:
        names = [store.find(run) for run in args.run]
        hidden = not_private(store, names)
        if args.weights:
            print(*store.export(names, Path(args.output or "export"), hidden), sep="\n")
            return 0
        text = as_csv(store, names, hidden) if args.csv else as_json(store, names, hidden)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    try:
        Path(args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput("output", args.output, f"a file that can be written ({error.strerror})") from error
    return 0


def not_private(store: Store, names: list[str]) -> set[str]:
    """What exports leave out: exact statistics of private data, which no guarantee covers. Said on stderr."""
    known = {row["experiment"] for name in names for row in store.replicates(name=name)} & set(experiments.names())
    hidden = {field for key in known for field in experiments.get(key).not_private}
    if hidden:
        print(f"labkit: left out, not private: {', '.join(sorted(hidden))}", file=sys.stderr)
    return hidden


def as_json(store: Store, names: list[str], hidden: Collection[str]) -> str:
    """Every replicate with its results."""
    rows = [row for name in names for row in store.replicates(name=name)]
    results = [row for name in names for row in store.results(name=name)]
    for row in rows:
        row["results"] = [
            {field: value for field, value in result.items() if field not in KEY_FIELDS and field not in hidden}
            for result in results
            if all(result[field] == row[field] for field in ("name", "seed", "device_kind"))
        ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def as_csv(store: Store, names: list[str], hidden: Collection[str]) -> str:
    """A row per result: the run, its parameters, then its values."""
    rows: list[dict[str, Any]] = []
    for name in names:
        specs = {key_of(row): row["spec"] for row in store.replicates(name=name)}
        for key, spec in specs.items():
            own = {field: plain(value) for field, value in spec.items() if field not in ("seed", "store")}
            rows += [
                {"run": name}
                | own
                | {field: value for field, value in result.items() if field != "name" and field not in hidden}
                for result in store.results(name, key.experiment, key.device_kind)
                if result["seed"] == key.seed
            ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(field for row in rows for field in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
