"""`labkit runs`: what the store holds."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import datetime
from typing import Any

from labkit.cli import parameters
from labkit.cli.table import table

# Told in columns of their own, or the same for all runs of a reader.
LEFT_OUT = {"seed", "seeds", "preset", "device", "store", "split_seed"}


def add(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    command = commands.add_parser("runs", help="list the stored runs", description=__doc__)
    command.add_argument("--json", action="store_true", help="every replicate with its spec and record, as JSON")
    parameters.add_store(command)
    command.set_defaults(call=call)


def call(args: argparse.Namespace) -> int:
    """Print a line per run, or JSON."""
    with parameters.existing_store(args) as store:
        replicates = store.replicates()
    if args.json:
        print(json.dumps(replicates, indent=2, allow_nan=False))
    else:
        print(table(summaries(replicates)) if replicates else f"no runs in {store.path}")
    return 0


def summaries(replicates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per run and kind of device: replicates by status, when the first was made, and the parameters that
    differ between the runs of its experiment."""
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in replicates:
        grouped.setdefault((row["experiment"], row["name"], row["device_kind"]), []).append(row)
    specs = {key: rows[0]["spec"] for key, rows in grouped.items()}
    return [
        {
            "run": name,
            "experiment": experiment,
            "device": kind,
            "seeds": ", ".join(f"{count} {status}" for status, count in Counter(row["status"] for row in rows).items()),
            "created": datetime.fromtimestamp(rows[0]["created"]).strftime("%Y-%m-%d %H:%M"),
            "parameters": _differing(
                specs[experiment, name, kind], [s for k, s in specs.items() if k[0] == experiment]
            ),
        }
        for (experiment, name, kind), rows in grouped.items()
    ]


def _differing(spec: dict[str, Any], others: list[dict[str, Any]]) -> str:
    fields = [f for f in spec if f not in LEFT_OUT and (len(others) == 1 or any(o.get(f) != spec[f] for o in others))]
    return " ".join(f"{field}={plain(spec[field])}" for field in fields)


def plain(value: Any) -> str:
    """A parameter's value as it is typed on the command line."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
