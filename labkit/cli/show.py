"""`labkit show`: one run, its parameters, circumstances and results."""

from __future__ import annotations

import argparse
import json
from typing import Any

from labkit import experiments
from labkit.cli import parameters
from labkit.cli.runs import plain
from labkit.cli.table import printable, table
from labkit.runs.past import outdated
from labkit.runs.reader import key_of


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("show", help="show one run", description=__doc__)
    command.add_argument("run", help="the first letters of its name")
    command.add_argument("--json", action="store_true", help="as JSON")
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print everything known of a run."""
    with parameters.existing_store(args) as store:
        name = store.find(args.run)
        replicates, results = store.replicates(name=name), store.results(name=name, finished=False)
        artifacts = store.artifacts(key_of(replicates[0]))
    if args.json:
        print(
            json.dumps(
                {"replicates": replicates, "results": results, "artifacts": artifacts}, indent=2, allow_nan=False
            )
        )
        return 0
    first = replicates[0]
    told = {"run": name, "experiment": first["experiment"]}
    told |= {field: plain(value) for field, value in first["spec"].items()}
    told |= {field: value for field, value in first["record"].items() if field not in ("spec", *told)}
    if not_read := _not_read(first):
        told["read by a notebook"] = not_read
    width = max(map(len, told))
    print("\n".join(printable(f"{field:<{width}}  {value}".rstrip()) for field, value in told.items()))
    print(
        "\n"
        + table([{field: row[field] for field in ("seed", "device_kind", "status", "error")} for row in replicates])
    )
    if results:
        print("\n" + table([{field: value for field, value in row.items() if field != "name"} for row in results]))
    if artifacts:
        print("\nartifacts  " + printable(", ".join(artifacts)))
    return 0


def _not_read(row: dict[str, Any]) -> str:
    if row["experiment"] not in experiments.names():
        return f"no: this labkit has no notebook {row['experiment']}"
    return outdated(experiments.get(row["experiment"]), row)
