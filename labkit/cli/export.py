"""`labkit export`: runs as JSON, as a table for a spreadsheet, or their arrays as safetensors files."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

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
        if args.weights:
            print(*store.export(names, Path(args.output or "export")), sep="\n")
            return 0
        text = as_csv(store, names) if args.csv else as_json(store, names)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    try:
        Path(args.output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput("output", args.output, f"a file that can be written ({error.strerror})") from error
    return 0


def as_json(store: Store, names: list[str]) -> str:
    """Every replicate with its results."""
    rows = [row for name in names for row in store.replicates(name=name)]
    results = [row for name in names for row in store.results(name=name)]
    for row in rows:
        row["results"] = [
            {field: value for field, value in result.items() if field not in KEY_FIELDS}
            for result in results
            if all(result[field] == row[field] for field in ("name", "seed", "device_kind"))
        ]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"


def as_csv(store: Store, names: list[str]) -> str:
    """A row per result: the run, its parameters, then its values."""
    rows: list[dict[str, Any]] = []
    for name in names:
        specs = {key_of(row): row["spec"] for row in store.replicates(name=name)}
        for key, spec in specs.items():
            own = {field: plain(value) for field, value in spec.items() if field not in ("seed", "store")}
            rows += [
                {"run": name} | own | {field: value for field, value in result.items() if field != "name"}
                for result in store.results(name, key.experiment, key.device_kind)
                if result["seed"] == key.seed
            ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(field for row in rows for field in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
