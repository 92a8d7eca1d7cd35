"""What the charts of the privacy frontier share: rows counted once, the arms' names, the families of comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.differences import COLOURS
from labkit.charts.epsilons import called, is_number
from labkit.charts.rows import Row, percent
from labkit.stats.verdict import SLIGHTLY_BETTER, SLIGHTLY_WORSE
from labkit.verdicts import Comparison, comparisons

if TYPE_CHECKING:
    from labkit.runs.view import View
    from labkit.spec import Spec

ONCE = ("dense", "simulated")  # one network for an epsilon and seed, told at every sparsity and space
REMOVED = {"nodes": "hidden nodes removed", "weights": "weights masked"}
VERDICTS = COLOURS | {SLIGHTLY_BETTER: COLOURS["better"], SLIGHTLY_WORSE: COLOURS["worse"]}
NOT_CHARGED = "learning rates were tuned on other seeds, on the selection split; no epsilon is charged for that"


def once(rows: Iterable[Row]) -> list[Row]:
    """The rows with each dense network counted once, not again at every sparsity and space."""
    kept: dict[tuple[Any, ...], Row] = {}
    for place, row in enumerate(rows):
        key = (row["epsilon"], row["seed"], row["arm"]) if row["arm"] in ONCE else (place,)
        kept.setdefault(key, row)
    return list(kept.values())


def drawn_arm(row: Row) -> str:
    """The arm's name among `theme.ARMS`: random masks over nodes and over weights are drawn differently."""
    return f"random-{row['space']}" if row["arm"] == "random" else row["arm"]


def sparse(rows: Iterable[Row]) -> list[float]:
    """The sparsities above 0 that the rows hold, in order."""
    return sorted({row["sparsity"] for row in rows if row["sparsity"] > 0})


def spaces(rows: Iterable[Row]) -> list[str]:
    """The spaces of the rows, nodes first."""
    return sorted({row["space"] for row in rows})


def usual(rows: Iterable[Row]) -> tuple[float, str] | None:
    """The sparsity nearest 0.9 and the space, nodes if there are any, that stand for all where one must; None without
    a sparse row."""
    rows = [row for row in rows if row["sparsity"] > 0]
    if not rows:
        return None
    space = spaces(rows)[0]
    return min(sparse(r for r in rows if r["space"] == space), key=lambda sparsity: abs(sparsity - 0.9)), space


def removed(sparsity: float, space: str) -> str:
    """A mask in words: 90 % of hidden nodes removed."""
    return f"{percent(sparsity)} of {REMOVED[space]}"


def chosen_arms(rows: Iterable[Row]) -> list[str]:
    """The arms that paid for a choice: chosen-K from small to large K, then repeats."""
    arms = {row["arm"] for row in rows}
    several = sorted((arm for arm in arms if arm.startswith("chosen-")), key=lambda arm: int(arm.split("-")[1]))
    return several + [arm for arm in ("repeats",) if arm in arms]


def families(view: View) -> dict[str, tuple[tuple[str, str], ...]]:
    """The declared families of comparisons, each corrected by Holm within itself: a map against the dense parent, one
    against equally small networks, and whether a choice pays for itself."""
    choices = tuple((arm, "random") for arm in chosen_arms(view.results()))
    return {"parent": (("random", "dense"),), "size": (("random", "small"),), "choosing": choices}


def judged(view: View, pairs: Sequence[tuple[str, str]], value: str = "test_accuracy") -> list[Comparison]:
    """The comparisons of one family at every sparse point; those that choose, only where there is an epsilon and nodes
    are removed."""

    def at(point: Spec) -> list[tuple[str, str]]:
        fields = view.fields(point)
        paid = is_number(fields["epsilon"]) and fields["space"] == "nodes"
        return [pair for pair in pairs if fields["sparsity"] > 0 and (paid or not chosen_arms([{"arm": pair[0]}]))]

    return comparisons(view, at, value)


def cell(c: Comparison) -> dict[str, Any]:
    """A comparison as a chart embeds it; what is not known yet is left out."""
    v = c.verdict
    known = {"mean": v.mean, "low": v.low, "high": v.high}
    made = dict(c.fields) | {"pair": f"{c.one} - {c.other}", "one": c.one, "word": v.word, "text": v.text, "n": v.n}
    made |= {"epsilon": called(c.fields["epsilon"])}
    return made | {name: number for name, number in known.items() if number is not None}


def family_words(found: Sequence[Comparison]) -> str:
    """How many seeds, which intervals, which correction."""
    counts = {c.verdict.n for c in found if c.verdict.n}
    if not counts:
        return "no finished pair yet"
    seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    level = f"{100 * max(c.verdict.level for c in found):.4g} % t intervals"
    pairs = "paired seeds" if max(counts) > 1 else "paired seed"
    return f"{seeds} {pairs}, {level}; verdicts corrected by Holm over all {len(found)} comparisons"


def verdict_colour(field: str = "word", *, legend: alt.Legend | None = None) -> alt.Color:
    """The colour channel of a verdict's word."""
    scale = alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def verdict_legend() -> alt.Legend:
    """Verdicts in a line above the chart."""
    shown = [word for word in VERDICTS if word not in (SLIGHTLY_BETTER, SLIGHTLY_WORSE)]
    return alt.Legend(values=shown, symbolType="circle", symbolSize=80, symbolOpacity=1)


def word_lines(word: str) -> str:
    """A verdict's word on two lines where it is long."""
    for first, rest in (("no ", "no\n"), (" by ", " by\n")):
        word = word.replace(first, rest, 1)
    return word


def signed(number: float) -> str:
    """A difference with its sign, and no sign where it rounds to nothing."""
    text = f"{number:+.3f}".replace("-", "\u2212")
    return "0.000" if text[1:] == "0.000" else text
