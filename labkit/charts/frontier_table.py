"""Every verdict of the privacy frontier: as rows of text, and as a table with a column for each epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import called, in_words, ordered
from labkit.charts.frontier_rows import VERDICTS, families, family_words, judged, removed, signed
from labkit.charts.rows import NOTHING, percent, values
from labkit.charts.theme import FAINT, INK, SOFT, WIDTH, themed, titled, waiting
from labkit.verdicts import Comparison

if TYPE_CHECKING:
    from labkit.runs.view import View

TABLE = "Verdicts"
QUESTIONS = {
    "parent": "against the dense parent",
    "size": "against an equally small dense net",
    "choosing": "choosing against one random draw",
}


def frontier_verdict_rows(view: View) -> list[dict[str, str]]:
    """The verdicts as text, one for each comparison; also what the README prints."""
    return [_row(c) for pairs in families(view).values() for c in judged(view, pairs)]


def _row(c: Comparison) -> dict[str, str]:
    v, fields = c.verdict, c.fields
    return {
        "where": f"{in_words(fields['epsilon'])}, {removed(fields['sparsity'], fields['space'])}",
        "pair": f"{c.one} - {c.other}",
        "mean": "" if v.mean is None else f"{v.mean:+.4f}",
        "interval": "" if v.low is None else f"{v.low:+.4f} to {v.high:+.4f}",
        "n": str(v.n),
        "word": v.word,
    }


def verdict_grid(view: View, family: str, value: str = "test_accuracy") -> list[list[str]]:
    """One family's mean differences and verdicts as text: a heading, then a row for each mask or choice.

    Args:
        family: "parent", "size" or "choosing".
        value: "test_accuracy", or "test_accuracy_shared" for one learning rate shared by all arms.
    """
    table = judged(view, families(view)[family], value)
    epsilons = ordered(c.fields["epsilon"] for c in table)
    rows: dict[str, dict[Any, str]] = {}
    for c in sorted(table, key=lambda c: (c.fields["space"], c.fields["sparsity"])):
        line = f"{percent(c.fields['sparsity'])} of {c.fields['space']}"
        line = f"{c.one}, {line}" if family == "choosing" else line
        said = "" if c.verdict.mean is None else f"{signed(c.verdict.mean)} {c.verdict.word}"
        rows.setdefault(line, {})[c.fields["epsilon"]] = said
    heading = ["removed", *(called(epsilon) for epsilon in epsilons)]
    return [heading, *([line, *(cells.get(epsilon, "") for epsilon in epsilons)] for line, cells in rows.items())]


def frontier_verdicts(view: View) -> alt.VConcatChart | alt.Chart:
    """Every comparison's mean difference, interval and verdict, epsilon across; one block for each declared family."""
    found = {name: judged(view, pairs) for name, pairs in families(view).items()}
    found = {name: table for name, table in found.items() if any(c.verdict.n for c in table)}
    if not found:
        return waiting(TABLE, NOTHING)
    epsilons = [called(epsilon) for epsilon in ordered(c.fields["epsilon"] for t in found.values() for c in t)]
    blocks = [
        _block(table, epsilons).properties(
            title=alt.TitleParams(
                text=QUESTIONS[name], subtitle=family_words(table), fontSize=12, subtitleFontSize=11, offset=4
            )
        )
        for name, table in found.items()
    ]
    text = titled(
        TABLE, f"margin {view.spec.margin:g}, fixed before the run; below each word: mean difference, interval"
    )
    return themed(alt.vconcat(*blocks, spacing=18).properties(title=text))


def _block(table: Sequence[Comparison], epsilons: Sequence[str]) -> alt.LayerChart:
    order = sorted(table, key=lambda c: (c.fields["space"], c.fields["sparsity"]))
    cells = [_cell(c) for c in order]
    lines = list(dict.fromkeys(cell["line"] for cell in cells))
    x = alt.X(
        "epsilon:N", sort=list(epsilons), scale=alt.Scale(domain=list(epsilons)), title="epsilon",
        axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False, labelColor=INK, labelFontWeight=600),
    )  # fmt: skip
    y = alt.Y("line:N", sort=lines, title=None, axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=110))
    base = alt.Chart(values(cells)).encode(x=x, y=y)
    colour = alt.Color("word:N", scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())), legend=None)
    layers = [
        base.mark_rule(color=FAINT, yOffset=20).encode(x=alt.value(-100), x2=alt.value("width")),
        base.mark_text(fontSize=10.5, dy=-11).encode(text="said:N", color=colour),
        base.mark_text(fontSize=10.5, color=INK, dy=1).encode(text="mean:N"),
        base.mark_text(fontSize=9, color=SOFT, dy=12).encode(text="interval:N"),
    ]
    return alt.layer(*layers).properties(width=WIDTH - 44, height=alt.Step(42))


def _cell(c: Comparison) -> dict[str, Any]:
    v, fields = c.verdict, c.fields
    line = f"{percent(fields['sparsity'])} of {fields['space']}"
    return {
        "line": f"{c.one}, {percent(fields['sparsity'])}" if c.other == "random" else line,
        "epsilon": called(fields["epsilon"]),
        "word": v.word,
        "said": v.word.replace("less than m", "< m"),
        "mean": "" if v.mean is None else signed(v.mean),
        "interval": "" if v.low is None else f"{_short(v.low)} to {_short(v.high)}",
    }


def _short(number: float) -> str:
    return signed(number).replace("0.", ".", 1)
