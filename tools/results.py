"""The verdict table and the charts of finished runs, from a store: what the README shows.

python -m tools.results 01 --preset full --kind cuda --store DIR [-p NAME VALUE]... [--figures DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from labkit import experiments
from labkit.charts import png, verdict_rows
from labkit.errors import LabError
from labkit.runs import Store, View, store_path
from labkit.runs.inputs import fingerprint
from tools.gallery import fewer_colours

HEADINGS = {
    "where": "grid point", "pair": "comparison", "mean": "difference", "interval": "95 % t interval", "n": "seeds",
    "word": "verdict",
}  # fmt: skip


def markdown(rows: list[dict[str, str]]) -> str:
    """The rows as a Markdown table."""
    lines = [" | ".join(HEADINGS.values()), " | ".join("---" for _ in HEADINGS)]
    lines += [" | ".join(row[name] for name in HEADINGS) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=experiments.names())
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--kind", default=None, help="cpu or cuda: which device's runs; needs no such device here")
    parser.add_argument("--store", default="")
    parser.add_argument("--figures", type=Path, help="folder for a PNG of each chart")
    args = parser.parse_args(arguments)
    experiment = experiments.get(args.experiment)
    spec = experiment.spec.of(**dict(args.parameters), preset=args.preset, store=args.store)
    store = Store(store_path(spec.store))
    view = View(store, experiment, spec, fingerprint(spec, store), args.kind)
    if not view.complete:
        raise LabError("the store does not hold every replicate of these parameters")
    print(markdown(verdict_rows(view)))
    if args.figures:
        args.figures.mkdir(parents=True, exist_ok=True)
        for name, chart in experiment.charts.items():
            (args.figures / f"{name}.png").write_bytes(fewer_colours(png(chart(view), 1.2)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
