"""Every training in numbers, as rows of text and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from labkit.charts.accuracy import test_words
from labkit.charts.epsilons import NO_EPSILON, called, in_words, is_number, ordered
from labkit.charts.finetune_rows import Setting, count_words, drawn_arm, main_rows, model_words, once, setting_words
from labkit.charts.queries_text import Cell, text_table
from labkit.charts.rows import NOTHING, Row, grouped, percent
from labkit.charts.theme import INK, arm, themed, titled, waiting
from labkit.stats import mean_interval

if TYPE_CHECKING:
    from labkit.runs.view import View

TABLE = "Every method in numbers"
HEADING = ("method", "test accuracy", "moves", "frozen", "\u03c3", "without", "rate", "a step")
AT = (0, 138, 288, 348, 402, 452, 508, 562)


def finetune_rows(view: View) -> list[dict[str, str]]:
    """One row of text for each epsilon and setting; also what the README prints.

    Fields: epsilon, method, setting, accuracy ("mean [low, high]" as far as it is known), moving (numbers that move),
    frozen (share of the weights in layers that may move), sigma, without (sigma without paying for a choice), rate
    (learning rate), step (seconds of a step), seeds.
    """
    return [_row(own) for own in _groups(once(view.results()))]


def finetune_table(view: View) -> alt.LayerChart | alt.Chart:
    """Every method at every epsilon, rows at the main setting: test accuracy with its interval, numbers that move,
    realised share frozen, noise, learning rate, time of a step."""
    rows = main_rows(view)
    if not rows:
        return waiting(TABLE, NOTHING)
    lines: list[Sequence[Cell | str]] = [HEADING]
    groups = _groups(rows)
    for epsilon in ordered(row["epsilon"] for row in rows):
        lines.append([Cell(in_words(epsilon), INK, bold=True, across=True)])
        for own in (own for own in groups if own[0]["epsilon"] == epsilon):
            look, told = arm(drawn_arm(own[0]["arm"])), _row(own)
            fields = ("accuracy", "moving", "frozen", "sigma", "without", "rate", "step")
            lines.append([Cell(look.words, look.colour, bold=True), *(told[name] for name in fields)])
    counts = {len(own) for own in groups}
    text = titled(
        TABLE,
        _seeds(min(counts), max(counts)),
        f"{setting_words(view)}; moves: numbers that move, head and all; frozen: realised, of layers that may move",
        "without: the \u03c3 of the same training if nothing had to be paid for a choice; "
        "rate: learning rate; a step: seconds",
        test_words(rows),
        model_words(rows),
        NO_EPSILON if any(not is_number(row["epsilon"]) for row in rows) else "",
    )
    return themed(text_table(lines, AT).properties(title=text))


def _seeds(low: int, high: int) -> str:
    if high == 1:
        return "one seed: numbers without intervals"
    said = f"mean of {high} seeds" if low == high else f"mean of {low} to {high} seeds"
    return f"{said}; brackets: 95 % t interval over seeds"


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """The seeds of each epsilon and setting, in order."""
    found = grouped(({"key": (row["epsilon"], Setting.of(row))} | dict(row) for row in rows), ("key",))
    rank = {epsilon: i for i, epsilon in enumerate(ordered(epsilon for ((epsilon, _),) in found))}
    return [found[key] for key in sorted(found, key=lambda key: (rank[key[0][0]], key[0][1].order))]


def _row(own: Sequence[Row]) -> dict[str, str]:
    first = own[0]
    accuracy = [float(row["test_accuracy"]) for row in own]
    low, high = mean_interval(accuracy) if len(accuracy) > 1 else (0.0, 0.0)
    return {
        "epsilon": called(first["epsilon"]),
        "method": first["arm"],
        "setting": Setting.of(first).words,
        "accuracy": f"{np.mean(accuracy):.4f}" + (f" [{low:.3f}, {high:.3f}]" if len(accuracy) > 1 else ""),
        "moving": _mean(own, "moving", count_words),
        "frozen": _mean(own, "frozen_share", lambda share: percent(round(share, 3))),
        "sigma": _mean(own, "noise_multiplier", "{:.3f}".format) if is_number(first["epsilon"]) else "",
        "without": _mean(own, "noise_multiplier_without", "{:.3f}".format),
        "rate": _mean(own, "learning_rate", "{:.3g}".format),
        "step": _mean(own, "seconds_per_step", "{:.2g}".format),
        "seeds": str(len(own)),
    }


def _mean(rows: Sequence[Row], value: str, said: Any) -> str:
    held = [float(row[value]) for row in rows if value in row]
    return said(float(np.mean(held))) if held else ""
