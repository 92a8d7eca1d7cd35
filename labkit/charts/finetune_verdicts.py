"""Every method against training all weights, against the head alone and against random rows, as verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.embeddings_picks import looks, planned
from labkit.charts.epsilons import called, in_words, is_number, ordered
from labkit.charts.finetune_rows import (
    FROZEN,
    RANDOM,
    REFERENCES,
    ROWS,
    Setting,
    drawn_arm,
    main_rows,
    main_setting,
    middle,
    once,
    paired,
    setting_words,
)
from labkit.charts.frontier_rows import VERDICTS, family_words, signed
from labkit.charts.rows import NOTHING, grouped, percent, values
from labkit.charts.theme import FAINT, INK, SOFT, WIDTH, arm, themed, titled, waiting
from labkit.stats import judge_family, verdict
from labkit.stats.verdict import FEWEST, UNDECIDED
from labkit.verdicts import Comparison

if TYPE_CHECKING:
    from labkit.runs.view import View

TITLE = "Verdicts: against all weights, the head alone, random rows"
BY_SPARSITY = "Verdicts over sparsity"
LEFT = 134  # px for the names
Key = tuple[Any, Setting]  # an epsilon and a setting
Found = dict[str, list[Comparison]]


def judged(view: View) -> Found:
    """For each reference every method minus it in test accuracy, paired by seed, at every epsilon; one family each.

    Methods that choose rows are taken at their main sparsity, scope and warm-up. All that the Spec plans is of the
    family, and nothing is judged before all planned seeds of both are finished (privacy.md 24).
    """
    main = [(epsilon, own) for epsilon, own in declared(view) if own == main_setting(view, own.method)]
    bases = {name: main_setting(view, name) for name in REFERENCES}
    return {
        name: _family(view, [(key, (key[0], base)) for key in main if key[1] != base and (key[0], base) in main])
        for name, base in bases.items()
    }


def judged_sparsities(view: View) -> Found:
    """The same over sparsity at the middle epsilon: each method that chooses rows against all weights, the head alone,
    and random rows of the same sparsity."""
    every = [key for key in declared(view) if key[0] == middle(view)]
    rows = [key for key in every if key[1].method in ROWS]
    rows = [key for key in rows if replace(main_setting(view, key[1].method), sparsity=key[1].sparsity) == key[1]]
    found = {}
    for name in REFERENCES:
        base = main_setting(view, name)
        pairs = [((e, own), (e, replace(base, sparsity=own.sparsity) if name == RANDOM else base)) for e, own in rows]
        found[name] = _family(view, [(one, other) for one, other in pairs if one != other and other in every])
    return found


def declared(view: View) -> list[Key]:
    """Every epsilon and setting that the Spec plans, in order."""
    fields = [view.fields(point) for point, _, _ in view.points if view.experiment.impossible(point) is None]
    found = {(own["epsilon"], Setting.of(own | {"arm": own["method"]})) for own in fields}
    rank = {epsilon: i for i, epsilon in enumerate(ordered(epsilon for epsilon, _ in found))}
    return sorted(found, key=lambda key: (rank[key[0]], key[1].order))


def _family(view: View, pairs: Sequence[tuple[Key, Key]]) -> list[Comparison]:
    """The comparisons of some settings with others, judged together."""
    rows = grouped(({"key": (row["epsilon"], Setting.of(row))} | dict(row) for row in view.results()), ("key",))
    seeds, margin, shared = planned(view), view.spec.margin, looks(view)
    held = [paired(once(rows.get((one,), ())), once(rows.get((other,), ()))) for one, other in pairs]
    whole = {str(i): list(own.values()) if set(own) == seeds else [] for i, own in enumerate(held)}
    family = judge_family(whole, margin, shared)
    found = []
    for i, (((epsilon, own), (_, base)), gained) in enumerate(zip(pairs, held, strict=True)):
        word = family[str(i)]
        if not whole[str(i)]:
            known = verdict(list(gained.values()), margin, looks=shared)
            text = f"undecided: {known.n} of {len(seeds)} seeds are finished"
            word = replace(known, word=UNDECIDED, p_value=None, text=text)
        fields = {"epsilon": epsilon, "sparsity": own.sparsity}
        found.append(Comparison(fields, own.method, base.method, tuple(gained.values()), word))
    return found


def finetune_verdict_rows(view: View) -> list[dict[str, str]]:
    """Both kinds of verdicts as text, one for each comparison; also what the README prints.

    Fields: family ("by epsilon", "by sparsity"), where, pair, mean, interval, n, word, text.
    """
    kinds = {"by epsilon": judged(view), "by sparsity": judged_sparsities(view)}
    return [
        {"family": kind} | _row(c) for kind, families in kinds.items() for family in families.values() for c in family
    ]


def _row(c: Comparison) -> dict[str, str]:
    v, sparsity = c.verdict, c.fields["sparsity"]
    return {
        "where": in_words(c.fields["epsilon"]) + (f", {percent(sparsity)} frozen" if sparsity else ""),
        "pair": f"{c.one} - {c.other}",
        "mean": "" if v.mean is None else f"{v.mean:+.4f}",
        "interval": "" if v.low is None else f"{v.low:+.4f} to {v.high:+.4f}",
        "n": str(v.n),
        "word": v.word,
        "text": v.text,
    }


def finetune_verdicts(view: View) -> alt.VConcatChart | alt.Chart:
    """Every method's mean difference in test accuracy, interval and verdict; a block for each reference, epsilon
    across."""
    words = "clipped and plain are not private"
    spoken = any(not is_number(row["epsilon"]) for row in main_rows(view))
    return _blocks(view, judged(view), TITLE, "epsilon", called, (setting_words(view), words if spoken else ""))


def finetune_sparsity_verdicts(view: View) -> alt.VConcatChart | alt.Chart:
    """The same at the middle epsilon with sparsity across, for the methods that choose rows."""
    found = judged_sparsities(view)
    if len({c.fields["sparsity"] for family in found.values() for c in family}) < 2:
        return waiting(BY_SPARSITY, "fewer than two sparsities so far: several make this table")
    said = (f"{in_words(middle(view))}; random rows of the same sparsity",)
    return _blocks(view, found, BY_SPARSITY, "sparsity", percent, said)


def _blocks(
    view: View, found: Found, title: str, field: str, label: Callable[[Any], str], said: Sequence[str]
) -> alt.VConcatChart | alt.Chart:
    known = {name: [c for c in family if c.verdict.n] for name, family in found.items()}
    if not any(found.values()):
        return waiting(title, "nothing to compare in this run: random rows stand alone")
    if not any(known.values()):
        return waiting(title, NOTHING)
    held = {c.fields[field] for family in known.values() for c in family}
    across = [label(value) for value in ordered(held)]
    blocks = [
        _block([_cell(c, label(c.fields[field])) for c in family], across, "epsilon" if field == "epsilon" else FROZEN)
        .properties(title=alt.TitleParams(
            text=f"minus {arm(drawn_arm(name)).words}", subtitle=family_words(found[name]), fontSize=12,
            subtitleFontSize=11, offset=4,
        ))
        for name, family in known.items() if family
    ]  # fmt: skip
    text = titled(
        title,
        *said,
        f"margin {view.spec.margin:g}, fixed before the run; below each word: mean difference, interval",
        few_words([c for family in known.values() for c in family]),
    )
    return themed(alt.vconcat(*blocks, spacing=18).properties(title=text))


def few_words(found: Sequence[Comparison]) -> str:
    """That there are too few seeds for a verdict; empty where there are enough, or none."""
    least = min((c.verdict.n for c in found if c.verdict.n), default=FEWEST)
    said = "is 1" if least == 1 else f"are {least}"
    return f"a verdict needs {FEWEST} paired seeds, there {said}: undecided" if least < FEWEST else ""


def _block(cells: Sequence[dict[str, Any]], across: Sequence[str], title: str) -> alt.LayerChart:
    lines = list(dict.fromkeys(cell["line"] for cell in cells))
    x = alt.X(
        "at:N", sort=list(across), scale=alt.Scale(domain=list(across)), title=title,
        axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False, labelColor=INK, labelFontWeight=600),
    )  # fmt: skip
    y = alt.Y("line:N", sort=lines, title=None, axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=LEFT))
    base = alt.Chart(values(cells)).encode(x=x, y=y)
    colour = alt.Color("word:N", scale=alt.Scale(domain=list(VERDICTS), range=list(VERDICTS.values())), legend=None)
    layers = [
        base.mark_rule(color=FAINT, yOffset=19).encode(x=alt.value(-LEFT), x2=alt.value("width")),
        base.mark_text(fontSize=10.5, dy=-10).encode(text="said:N", color=colour, tooltip=["line:N", "text:N"]),
        base.mark_text(fontSize=10.5, color=INK, dy=2).encode(text="mean:N"),
        base.mark_text(fontSize=9, color=SOFT, dy=13).encode(text="interval:N"),
    ]
    return alt.layer(*layers).properties(width=min(WIDTH - 74, 140 * len(across)), height=alt.Step(40))


def _cell(c: Comparison, at: str) -> dict[str, Any]:
    v = c.verdict
    return {
        "line": arm(drawn_arm(c.one)).words,
        "at": at,
        "word": v.word,
        "said": v.word.replace("less than m", "< m"),
        "text": v.text,
        "mean": "" if v.mean is None else signed(v.mean),
        "interval": "" if v.low is None else f"{_short(v.low)} to {_short(v.high)}",
    }


def _short(number: float) -> str:
    return signed(number).replace("0.", ".", 1)
