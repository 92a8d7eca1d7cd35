"""The configurations that selection data pick, against DP-SGD at equal epsilon, as verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.embeddings_panels import bounded
from labkit.charts.embeddings_picks import looks, losses, picks, planned
from labkit.charts.embeddings_rows import BASELINE, Configuration, epsilons, usual, usual_words, where
from labkit.charts.epsilons import in_words
from labkit.charts.frontier_rows import cell, family_words, verdict_colour
from labkit.charts.rows import NOTHING, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm, panel_title, themed, titled, waiting
from labkit.stats import Verdict, judge_family, verdict
from labkit.stats.verdict import FEWEST, UNDECIDED
from labkit.verdicts import Comparison

if TYPE_CHECKING:
    from labkit.runs.view import View

VERDICTS = "Picked on selection data, against DP-SGD"
DIFFERENCE = "difference in test AUC"
LEFT = 250  # px for the names


def judged(view: View) -> list[Comparison]:
    """Each picked configuration minus DP-SGD in test AUC, paired by seed, as one family.

    Picked are, of each method at each epsilon, the one of the highest mean selection AUC, and those of the largest
    reduction within the margins. Nothing is judged before all planned seeds are finished.
    """
    rows = usual(view.results())
    lost, seeds, margin, shared = losses(rows), planned(view), view.spec.margin, looks(view)
    chosen = dict.fromkeys(
        (place, c)
        for (place, _), found in picks(rows).items()
        for c in (found.best, *found.within.values())
        if c is not None
    )
    gains = {key: [-lost[key][seed] for seed in sorted(lost[key])] for key in chosen}
    whole = {key: values if set(lost[key]) == seeds else [] for key, values in gains.items()}
    family = judge_family({str(i): values for i, values in enumerate(whole.values())}, margin, shared)
    found = []
    for i, (key, held) in enumerate(gains.items()):
        word = family[str(i)] if whole[key] else _early(held, margin, shared, len(seeds))
        fields = {"epsilon": key[0].epsilon, "place": key[0], "configuration": key[1]}
        found.append(Comparison(fields, key[1].method, BASELINE, tuple(held), word))
    return sorted(found, key=_order)


def _early(values: Sequence[float], margin: float, shared: int, seeds: int) -> Verdict:
    known = verdict(values, margin, looks=shared)
    return replace(known, word=UNDECIDED, p_value=None, text=f"undecided: {known.n} of {seeds} seeds are finished")


def _order(c: Comparison) -> tuple[Any, ...]:
    place, configuration = c.fields["place"], c.fields["configuration"]
    return place.epsilon, configuration.order


def embeddings_verdict_rows(view: View) -> list[dict[str, str]]:
    """The verdicts as text, one for each picked configuration; also what the README prints."""
    rows = usual(view.results())
    return [
        {
            "where": where(c.fields["place"], rows),
            "pair": f"{c.one} - {c.other}",
            "configuration": c.fields["configuration"].words,
            "mean": "" if c.verdict.mean is None else f"{c.verdict.mean:+.4f}",
            "interval": "" if c.verdict.low is None else f"{c.verdict.low:+.4f} to {c.verdict.high:+.4f}",
            "n": str(c.verdict.n),
            "word": c.verdict.word,
            "text": c.verdict.text,
        }
        for c in judged(view)
    ]


def embeddings_verdicts(view: View) -> alt.VConcatChart | alt.Chart:
    """Test AUC of each picked configuration minus DP-SGD's of the same seed, with interval, margin and verdict; a panel
    for each epsilon."""
    shown = usual(view.results())
    everything = judged(view)
    here = [c for c in everything if c.verdict.mean is not None]
    if not here:
        return waiting(VERDICTS, NOTHING)
    margin = view.spec.margin
    cells = [_cell(c) for c in here]
    scale, cut = bounded(cells, (-1.5 * margin, 1.5 * margin))
    held = [e for e in epsilons(shown) if any(c.fields["epsilon"] == e for c in here)]
    panels = [
        _panel([cell for cell, c in zip(cells, here, strict=True) if c.fields["epsilon"] == epsilon], scale, margin)
        .properties(title=panel_title(in_words(epsilon)))
        for epsilon in held
    ]  # fmt: skip
    counts = {c.verdict.n for c in here}
    text = titled(
        VERDICTS,
        usual_words(view, shown),
        family_words(everything),
        f"a verdict needs {FEWEST} paired seeds, there {'is 1' if counts == {1} else f'are {min(counts)}'}: undecided"
        if min(counts) < FEWEST
        else "",
        f"grey zone: the margin of {margin:g}, fixed before the run",
        cut,
        width=78,
    )
    return themed(alt.vconcat(*panels, spacing=16).properties(title=text))


def _cell(c: Comparison) -> dict[str, Any]:
    configuration: Configuration = c.fields["configuration"]
    entry = {name: held for name, held in cell(c).items() if name not in ("place", "configuration")}
    name = f"{arm(c.one).words}: {configuration.words}"
    return entry | {"line": name.removesuffix(": ")}


def _panel(cells: Sequence[dict[str, Any]], scale: alt.Scale, margin: float) -> alt.LayerChart:
    order = [entry["line"] for entry in cells]
    y = alt.Y("line:N", title=None, sort=order, axis=alt.Axis(labelLimit=LEFT, labelFontSize=11, labelColor=INK))
    width = WIDTH - LEFT - 90

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title=DIFFERENCE, scale=scale, axis=alt.Axis(format="+.3~f", tickCount=5))

    band = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(color="#000000", opacity=0.07)
    zero = alt.Chart(values([{"zero": 0}])).mark_rule(color=SOFT, strokeDash=[3, 3])
    base = alt.Chart(values(cells)).encode(y=y, color=verdict_colour())
    told = ["line:N", alt.Tooltip("mean:Q", format="+.4f"), "low:Q", "high:Q", "n:Q", "text:N"]
    layers = [
        band.encode(x=x("from"), x2="to:Q"),
        zero.encode(x=x("zero")),
        base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=3, opacity=0.85, clip=True)
        .encode(x=x("low"), x2="high:Q"),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x("mean"), tooltip=told),
        base.mark_text(align="left", dx=8, fontSize=11).encode(x=alt.value(width), text="word:N"),
    ]  # fmt: skip
    return alt.layer(*layers).properties(width=width, height=alt.Step(22))
