"""The verdict table and the charts of finished runs, from a store: what the README shows.

python -m tools.results 01 --preset full --kind cuda --store DIR [-p NAME VALUE]... [--figures DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

from labkit import experiments
from labkit.charts import (
    auc_rows,
    embeddings_verdict_rows,
    finetune_rows,
    noninferior_rows,
    png,
    retrieval_rows,
    retrieval_verdict_rows,
    verdict_grid,
    verdict_rows,
)
from labkit.charts.embeddings_rows import BASELINE, Place, usual, where
from labkit.charts.epsilons import called
from labkit.charts.finetune_verdicts import judged, judged_sparsities
from labkit.errors import LabError
from labkit.runs import Store, View, store_path
from labkit.runs.inputs import fingerprint
from tools.gallery import fewer_colours

HEADINGS = {
    "where": "grid point", "pair": "comparison", "mean": "difference", "interval": "95 % t interval", "n": "seeds",
    "word": "verdict",
}  # fmt: skip
RETRIEVAL = {
    "arm": "arm", "epsilon": "epsilon", "recall": "recall@10", "ndcg": "nDCG@10", "mrr": "MRR@10",
    "recall_lay": "recall@10, laypeople's queries", "seeds": "seeds",
}  # fmt: skip
NONINFERIOR = {
    "where": "grid point", "method": "method", "margin": "margin", "configuration": "picked on selection data",
    "reduction": "gradient smaller by", "loss": "loss of test AUC", "n": "seeds", "word": "verdict",
}  # fmt: skip
PICKED = {name: heading for name, heading in HEADINGS.items() if name in ("where", "pair")}
PICKED |= {"configuration": "picked on selection data"} | {n: h for n, h in HEADINGS.items() if n not in PICKED}
DENSE = ("dpsgd", "lazydp")


def markdown(rows: list[dict[str, str]], headings: dict[str, str] = HEADINGS) -> str:
    """The rows as a Markdown table."""
    return grid([list(headings.values()), *([row[name] for name in headings] for row in rows)])


def exposures(view: View) -> str:
    """Mean exposure in bits of the canaries of each number of repeats, a row for each epsilon."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in view.series("exposure"):
        found.setdefault(called(row["epsilon"]), {}).setdefault(row["repeats"], []).append(row["exposure"])
    repeats = sorted({number for own in found.values() for number in own})
    heading = ["epsilon", *(f"planted {number} times" for number in repeats)]
    return grid([heading, *([at, *(f"{fmean(own[number]):.2f}" for number in repeats)] for at, own in found.items())])


def aucs(view: View) -> str:
    """Mean test AUC and reduction, a column for each epsilon, of the dense methods and of every configuration that
    selection data pick at some epsilon; at the vocabulary and in the order where most were run."""
    rows = view.results()
    places = {where(Place.of(row), rows) for row in usual(rows)}
    picked = {(row["pair"].split(" - ")[0], row["configuration"]) for row in embeddings_verdict_rows(view)}
    found: dict[tuple[str, str], dict[str, str]] = {}
    epsilons: dict[str, None] = {}
    for row in auc_rows(view):
        method = BASELINE if row["method"] == row["epsilon"] else row["method"]  # a word trains the dense method alone
        key = method, row["settings"]
        if row["where"] in places and (method in DENSE or key in picked):
            epsilons[row["epsilon"]] = None
            gained = f", {row['reduction']}" if method not in DENSE else ""
            found.setdefault(key, {})[row["epsilon"]] = row["auc"].split(" ")[0] + gained
    heading = ["method", "settings", *(f"epsilon {name}" if name[0].isdigit() else name for name in epsilons)]
    return grid([heading, *([*key, *(own.get(name, "") for name in epsilons)] for key, own in found.items())])


def finetuned(view: View) -> str:
    """Mean accuracies, then the verdicts against each reference, a row for each method and a column for each epsilon;
    then those over sparsity."""
    accuracy: dict[str, dict[str, str]] = {}
    for row in finetune_rows(view):
        name = ", ".join(part for part in (row["method"], row["setting"]) if part)
        accuracy.setdefault(name, {})[row["epsilon"]] = row["accuracy"].split(" ")[0]
    parts = ["Test accuracy", crossed("method", accuracy)]
    for title, families, across in (
        ("Verdicts against {}", judged(view), lambda c: called(c.fields["epsilon"])),
        ("Verdicts against {} over sparsity", judged_sparsities(view), lambda c: f"{c.fields['sparsity']:.0%} frozen"),
    ):
        for reference, found in families.items():
            cells: dict[str, dict[str, str]] = {}
            for c in found:
                mean = "" if c.verdict.mean is None else f"{c.verdict.mean:+.3f} "
                cells.setdefault(c.one, {})[across(c)] = mean + c.verdict.word
            parts += [title.format(reference), crossed(f"minus {reference}", cells)] if cells else []
    return "\n\n".join(parts)


def crossed(corner: str, cells: dict[str, dict[str, str]]) -> str:
    """A table with a row for each key and a column for each inner key, in the order of their first mention."""
    columns = list(dict.fromkeys(name for own in cells.values() for name in own))
    return grid([[corner, *columns], *([key, *(own.get(name, "") for name in columns)] for key, own in cells.items())])


def grid(rows: list[list[str]]) -> str:
    """A heading and rows as a Markdown table."""
    heading, *rest = [[plain(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [heading, ["---"] * len(heading), *rest])


def plain(cell: str) -> str:
    """A text as a cell of a Markdown table shows it: no markup, no end of the cell."""
    return " ".join(cell.split()).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def tables(view: View) -> str:
    """Every table of the experiment; of the frontier one for each question, tuned and with a shared learning rate."""
    if view.experiment.key == "03":
        parts = [markdown(retrieval_rows(view), RETRIEVAL), markdown(retrieval_verdict_rows(view)), exposures(view)]
        return "\n\n".join(parts)
    if view.experiment.key == "04":
        asked = markdown(noninferior_rows(view), NONINFERIOR), markdown(embeddings_verdict_rows(view), PICKED)
        return "\n\n".join((*asked, aucs(view)))
    if view.experiment.key == "05":
        return finetuned(view)
    if view.experiment.key != "02":
        return markdown(verdict_rows(view))
    asked = [
        ("Random mask minus dense parent, each arm at its own learning rate", "parent", "test_accuracy"),
        ("The same with the dense network's settings for all arms", "parent", "test_accuracy_shared"),
        ("Random mask minus an equally small dense network", "size", "test_accuracy"),
        ("Choosing minus one random draw, at equal total epsilon", "choosing", "test_accuracy"),
    ]
    return "\n\n".join(f"{title}\n\n{grid(verdict_grid(view, family, value))}" for title, family, value in asked)


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
    print(tables(view))
    if args.figures:
        args.figures.mkdir(parents=True, exist_ok=True)
        for name, chart in experiment.charts.items():
            (args.figures / f"{name}.png").write_bytes(fewer_colours(png(chart(view), 1.2)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
