"""The largest reduction that costs no more than a margin, picked on selection data and asserted on test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import altair as alt

from labkit.charts.embeddings_picks import MARGINS, Losses, looks, losses, means, picks, planned
from labkit.charts.embeddings_rows import (
    METHODS,
    Configuration,
    Place,
    factor,
    sampling_words,
    usual,
    usual_words,
    where,
)
from labkit.charts.frontier_rows import VERDICTS
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.rows import NOTHING, Row
from labkit.charts.theme import INK, SOFT, arm, themed, titled, waiting
from labkit.stats import NonInferiority, judge_losses, noninferiority
from labkit.stats.noninferiority import NON_INFERIOR, NOT_SHOWN
from labkit.stats.verdict import FEWEST, UNDECIDED

if TYPE_CHECKING:
    from labkit.runs.view import View

TITLE = "The largest reduction within a margin"
INKS = {NON_INFERIOR: VERDICTS["better"], NOT_SHOWN: VERDICTS["worse"], UNDECIDED: SOFT}
HEADING = ("method", "margin", "picked", "reduction", "loss", "at most", "verdict")
AT = (0, 98, 144, 318, 382, 440, 502)


@dataclass(frozen=True)
class Asserted:
    """One member of the family: a method at a place and a margin.

    Args:
        place, method, margin: which.
        configuration: picked on selection data; None where none is within the margin.
        reduction: of the picked configuration, the mean over seeds; None without one.
        found: what its test losses say.
        why: the verdict's word, or in words why there is none.
    """

    place: Place
    method: str
    margin: float
    configuration: Configuration | None
    reduction: float | None
    found: NonInferiority
    why: str


def asserted(view: View) -> list[Asserted]:
    """Every method, epsilon and margin as one family, corrected by Holm; nothing is judged before all planned seeds
    are finished. Other vocabularies and orders, which are run at few settings, are left to their own charts."""
    rows = usual(view.results())
    lost, gained, table = losses(rows), means(rows, "reduction"), picks(rows)
    members: dict[tuple[Place, str, float], tuple[Configuration | None, Losses]] = {
        (place, method, margin): (picked, lost.get((place, picked), {}) if picked else {})
        for (place, method), found in table.items()
        for margin, picked in found.within.items()
    }
    seeds, shared = planned(view), looks(view)
    whole = {key: list(held.values()) if set(held) == seeds else [] for key, (_, held) in members.items()}
    judged = judge_losses({key: (values, key[2]) for key, values in whole.items()}, shared)
    made = []
    for key, (picked, held) in members.items():
        found = judged[key] if whole[key] else noninferiority(list(held.values()), key[2], looks=shared)
        why = _why(found, picked, len(held), len(seeds))
        if not whole[key]:
            found = replace(found, word=UNDECIDED, p_value=None, text=why)
        made.append(Asserted(*key, picked, gained.get((key[0], picked)) if picked else None, found, why))
    place = {method: i for i, method in enumerate(METHODS)}
    return sorted(made, key=lambda m: (m.place.epsilon, place[m.method]))


def _why(found: NonInferiority, picked: Configuration | None, pairs: int, seeds: int) -> str:
    if seeds < 2:
        return f"{UNDECIDED}: too few seeds, {seeds}"
    if picked is None:
        return "none picked"
    if pairs < seeds:
        return f"{UNDECIDED}: {pairs} of {seeds} seeds are finished"
    if seeds < FEWEST:
        return f"{UNDECIDED}: fewer than {FEWEST} seeds"
    return found.text if found.word == UNDECIDED else found.word


def noninferior_rows(view: View) -> list[dict[str, str]]:
    """The family as text, one row for each method, place and margin; also what the README prints.

    Fields: where, method, margin, configuration, reduction, loss (mean and upper bound), n, word (the verdict, or why
    there is none), text (the verdict with its numbers).
    """
    rows = usual(view.results())
    return [_row(m, rows) for m in asserted(view)]


def _row(m: Asserted, rows: Sequence[Row]) -> dict[str, str]:
    found = m.found
    loss = "" if found.mean is None else f"{found.mean:+.4f}"
    loss += "" if found.upper is None else f", at most {found.upper:+.4f}"
    return {
        "where": where(m.place, rows),
        "method": m.method,
        "margin": f"{m.margin:g}",
        "configuration": m.configuration.words if m.configuration else "none",
        "reduction": "" if m.reduction is None else factor(m.reduction),
        "loss": loss,
        "n": str(found.n),
        "word": m.why,
        "text": found.text,
    }


def noninferior(view: View) -> alt.LayerChart | alt.Chart:
    """For each method, epsilon and margin: the configuration picked on selection data as the largest reduction within
    the margin, and whether its test loss to DP-SGD stays below it by the one-sided bound."""
    family = asserted(view)
    if not family:
        return waiting(TITLE, NOTHING)
    rows = usual(view.results())
    lines: list[Sequence[Cell | str]] = [HEADING]
    before: tuple[str, str] = ("", "")
    for m in family:
        place, name = where(m.place, rows), arm(m.method).words
        if place != before[0]:
            lines.append([Cell(place, INK, bold=True, across=True)])
        first = Cell(name if (place, name) != before else "", arm(m.method).colour, bold=True)
        before = place, name
        told = _row(m, rows)
        loss, _, most = told["loss"].partition(", at most ")
        word = Cell(told["word"], INKS[m.found.word] if told["word"] == m.found.word else SOFT)
        lines.append([first, told["margin"], told["configuration"], told["reduction"], loss, most, word])
    return themed(text_table(lines, AT).properties(title=titled(TITLE, *_words(view, family, rows))))


def _words(view: View, family: Sequence[Asserted], rows: Sequence[Row]) -> list[str]:
    seeds = len(planned(view))
    level = 100 * max(m.found.level for m in family)
    return [
        usual_words(view, rows),
        f"{seeds} seed{'s' * (seeds != 1)}; loss: DP-SGD's test AUC minus this one's, paired by seed; at most: upper "
        f"{level:.4g} % one-sided t bound",
        f"verdicts corrected by Holm over all {len(family)} rows; margins "
        f"{' and '.join(f'{margin:g}' for margin in MARGINS)}, fixed before the run",
        "none: no configuration's loss of selection AUC is surely below the margin; not shown: its loss of test AUC is "
        "not, once corrected",
        "LazyDP is not asked: what it releases is DP-SGD's model in distribution, and as dense",
        sampling_words(rows),
    ]
