"""What all candidates say together: does a longer search help, and does the score foretell the outcome?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np

from labkit.charts.differences import shown
from labkit.charts.rows import NOTHING, artifacts, band_words, padded, summarise, values
from labkit.charts.theme import PALETTE, SOFT, WIDTH, panel_title, themed, titled, waiting
from labkit.stats import rank_correlation, reliability
from labkit.verdicts import words

if TYPE_CHECKING:
    from labkit.runs.view import View

FORETELL = "Does the loss before training foretell the accuracy after it?"
DRAWN = 100  # candidates of a parent that a scatter shows; rho is computed from all


def best_of_k(view: View) -> alt.LayerChart | alt.Chart:
    """Accuracy of the lowest initial loss among the first k candidates, minus the mean of all trained ones."""
    rows = []
    for point, seed, table in artifacts(view, "candidates"):
        inside = table["index"] < min(point.budget[0], len(table["index"]))
        loss, accuracy = table["initial_loss"][inside], table["test_accuracy"][inside].astype(float)
        if len(loss) < 2:
            continue
        where = words(shown(view, view.fields(point)))
        rows += [
            {"where": where, "seed": seed, "k": int(k), "gain": accuracy[loss[:k].argmin()] - accuracy.mean()}
            for k in _counts(len(loss))
        ]
    if not rows:
        return waiting("Does a longer search help?", NOTHING)
    summary = summarise(rows, ("where", "k"), "gain")
    names = list(dict.fromkeys(row["where"] for row in rows))
    margin = view.spec.margin
    ends = [entry[end] for entry in summary for end in ("mean", "low", "high") if end in entry]
    scale = alt.Scale(domain=padded([*ends, -margin, margin]), nice=False, clamp=True)
    title = "accuracy of the best of k minus mean"
    base = alt.Chart(values(summary), width=WIDTH, height=280).encode(
        x=alt.X(
            "k:Q",
            scale=alt.Scale(type="log", nice=False),
            title="k: candidates searched, best initial loss taken",
            axis=alt.Axis(format="~s"),
        ),
        color=alt.Color(
            "where:N",
            title=None,
            scale=alt.Scale(domain=names, range=list(PALETTE)),
            legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5, symbolOpacity=1),
        ),
    )
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.12)
    line = base.mark_line(strokeWidth=2, point=True).encode(
        y=alt.Y("mean:Q", scale=scale, title=title, axis=alt.Axis(format="+.3~f"))
    )
    zone = alt.Chart(values([{"from": -margin, "to": margin}])).mark_rect(color="#000000", opacity=0.06)
    zero = alt.Chart(values([{"at": 0}])).mark_rule(color=SOFT, strokeDash=[5, 4]).encode(y="at:Q")
    text = titled(
        "Does a longer search help?",
        band_words(rows, ("where", "k")),
        f"dashed: a candidate drawn blindly; grey zone: the margin of {margin:g}",
    )
    layers = [
        zone.encode(y=alt.Y("from:Q", scale=scale, title=title), y2="to:Q"),
        zero,
        band.encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        line,
    ]
    return themed(alt.layer(*layers).properties(title=text))


def _counts(most: int) -> list[int]:
    """About twelve numbers of candidates from 1 to `most`, evenly spaced on a log scale."""
    return sorted({int(k) for k in np.geomspace(1, most, 12).round()})


def loss_against_accuracy(view: View) -> alt.ConcatChart | alt.Chart:
    """A dot per candidate: its loss before training and its accuracy after; rho within parents in each title."""
    groups: dict[str, list[tuple[int, dict]]] = {}
    for point, seed, table in artifacts(view, "candidates"):
        groups.setdefault(words(shown(view, view.fields(point))), []).append((seed, table))
    groups = {where: found for where, found in groups.items() if min(len(t["index"]) for _, t in found) >= 5}
    if not groups:
        return waiting(
            "Does the loss before training foretell the accuracy after it?", "no finished run of 5 candidates yet"
        )
    panels = [_scatter(where, found) for where, found in groups.items()]
    text = titled(
        FORETELL,
        "one dot per candidate, one colour per parent (seed); rho: Spearman's, within parents, mean over parents",
        f"at most {DRAWN} candidates of a parent are drawn; rho uses all of them",
    )
    return themed(alt.concat(*panels, columns=2, spacing=24).properties(title=text))


def _scatter(where: str, found: list[tuple[int, dict]]) -> alt.Chart:
    rows = [
        {"seed": seed, "initial_loss": float(loss), "test_accuracy": float(accuracy)}
        for seed, table in found
        for loss, accuracy in zip(table["initial_loss"][:DRAWN], table["test_accuracy"][:DRAWN], strict=True)
    ]
    x = alt.X("initial_loss:Q", title="loss before training", scale=alt.Scale(zero=False, nice=True))
    y = alt.Y("test_accuracy:Q", title="test accuracy", scale=alt.Scale(zero=False, nice=True))
    colour = alt.Color("seed:N", scale=alt.Scale(range=list(PALETTE)), legend=None)
    dots = alt.Chart(values(rows), width=WIDTH // 2 - 40, height=200).mark_circle(size=22, opacity=0.55)
    return dots.encode(x=x, y=y, color=colour).properties(title=panel_title(f"{where}: {rho_words(found)}"))


def rho_words(found: list[tuple[int, dict]]) -> str:
    """Rho with its interval where there are parents enough, and the reliability that caps it."""
    rho = rank_correlation([(t["initial_loss"], t["test_accuracy"]) for _, t in found])
    again = reliability([(t["test_accuracy"], t["test_accuracy_again"]) for _, t in found])
    interval = "" if rho.low is None else f" [{rho.low:+.2f}, {rho.high:+.2f}]"
    shown_rho = "none" if rho.mean is None else f"{rho.mean:+.2f}"
    return f"rho {shown_rho}{interval}" + ("" if again.mean is None else f", reliability {again.mean:.2f}")
