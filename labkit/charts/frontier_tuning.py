"""How learning rates were chosen, and how well a small-batch simulation foretells a private run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import called, few, in_words, is_number, ordered
from labkit.charts.frontier_rows import drawn_arm, once, removed, usual
from labkit.charts.rows import NOTHING, Row, band_words, grouped, padded, summarise, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm_colour, arm_dash, in_order, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

TUNING = "How each learning rate was chosen"
NOISE = "Equal total noise: a simulation foretells the private run, and is not private itself"
CHOICE = ("epsilon", "sparsity", "space", "arm")


def tuning(view: View) -> alt.ConcatChart | alt.Chart:
    """Selection accuracy against the learning rate at the smallest and the largest epsilon; rings mark what was chosen,
    diamonds the values that were added because the best one lay at the edge of the grid."""
    rows = [_located(row) for row in view.series("tuning")]
    if not rows:
        tuned = getattr(view.spec, "learning_rate", "tuned") == "tuned"
        return waiting(TUNING, "nothing is tuned yet" if tuned else "learning rates are given, not tuned, in this run")
    place = usual(rows) or (rows[0]["sparsity"], rows[0]["space"])
    here = [row for row in rows if (row["sparsity"], row["space"]) == place or row["arm"] == "dense"]
    epsilons = few((row["epsilon"] for row in here), 2) or ordered(row["epsilon"] for row in here)[:2]
    tables = {epsilon: _tried([row for row in here if row["epsilon"] == epsilon]) for epsilon in epsilons}
    arms = in_order(entry["arm"] for table in tables.values() for entry in table)
    scale = alt.Scale(domain=padded(e["mean"] for table in tables.values() for e in table), nice=False)
    panels = [
        _rates(table, arms, scale, WIDTH if len(tables) == 1 else WIDTH // 2 - 34).properties(
            title=panel_title(in_words(epsilon))
        )
        for epsilon, table in tables.items()
    ]
    text = titled(
        TUNING,
        "not private: selection accuracies of tuning runs, on other seeds than the reported ones; never charged",
        "rings: what was chosen" + (f"; masked: {removed(*place)}" if place[0] > 0 else ""),
        widened_words(rows),
    )
    return themed(alt.concat(*panels, columns=2, spacing=18).properties(title=text))


def _tried(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One entry for each arm and rate, however often it was told."""
    named = [dict(row) | {"arm": drawn_arm(row)} for row in rows]
    held = {key: group[-1] for key, group in grouped(named, ("arm", "learning_rate")).items()}
    return [
        entry | {"chosen": bool(last["chosen"]), "added": last.get("round", 0) > 0}
        for entry in summarise(named, ("arm", "learning_rate"), "selection_accuracy")
        if (last := held[entry["arm"], entry["learning_rate"]])
    ]


def widened_words(rows: Sequence[Row]) -> str:
    """How often a grid was widened, and whether a choice still lies at the edge of what was tried."""
    choices = grouped((_choice(row) for row in rows), CHOICE)
    widened = sum(any(row.get("widened", row.get("round", 0)) > 0 for row in group) for group in choices.values())
    edges = 0
    for group in choices.values():
        rates = {row["learning_rate"] for row in group}
        edges += any(row["chosen"] and row["learning_rate"] in (min(rates), max(rates)) for row in group)
    said = f"{widened} of {len(choices)} grids widened, as their best value lay at the edge (diamonds)"
    said = said if widened else f"none of {len(choices)} grids had to be widened"
    return said + (f"; {edges} still end at their best value" if edges else "; no choice lies at an edge")


def _located(row: Row) -> Row:
    """The row with the sparsity and space that were tuned; one grid point tells all that were tuned at its epsilon."""
    return dict(row) | {name: row[f"tuned_{name}"] for name in ("sparsity", "space") if f"tuned_{name}" in row}


def _choice(row: Row) -> Row:
    return dict(row) | ({"sparsity": 0.0, "space": ""} if row["arm"] == "dense" else {})


def _rates(table: Sequence[Row], arms: Sequence[str], scale: alt.Scale, width: int) -> alt.LayerChart:
    x = alt.X(
        "learning_rate:Q", title="learning rate (log scale)", scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(values=sorted({e["learning_rate"] for e in table}), format=".3~g", labelOverlap=True, grid=False),
    )  # fmt: skip
    y = alt.Y("mean:Q", title="selection accuracy (not private)", scale=scale, axis=alt.Axis(format=".3~f"))
    base = alt.Chart(values(table)).encode(x=x, y=y, color=arm_colour(arms))
    shape = alt.Shape("added:N", scale=alt.Scale(domain=[False, True], range=["circle", "diamond"]), legend=None)
    size = alt.Size("added:N", scale=alt.Scale(domain=[False, True], range=[48, 110]), legend=None)
    told = ["arm:N", "learning_rate:Q", alt.Tooltip("mean:Q", format=".4f"), "chosen:N", "added:N"]
    layers = [
        base.mark_line(strokeWidth=2).encode(strokeDash=arm_dash(arms)),
        base.mark_point(filled=True, opacity=1).encode(shape=shape, size=size, tooltip=told),
        base.transform_filter("datum.chosen").mark_point(size=230, strokeWidth=2.2, opacity=1),
    ]
    return alt.layer(*layers).properties(width=width, height=230)


def total_noise(view: View) -> alt.LayerChart | alt.Chart:
    """Measured accuracy of the private dense network against what its small-batch simulation foretold: a point for each
    epsilon with both 95 % t intervals, and the line of equality. The simulation spends far more than that epsilon."""
    rows = once(row for row in view.results() if row["arm"] in ("dense", "simulated") and is_number(row["epsilon"]))
    by = {
        name: {e["epsilon"]: e for e in summarise(_of(rows, name), ("epsilon",), "test_accuracy")}
        for name in ("dense", "simulated")
    }
    both = ordered(by["dense"].keys() & by["simulated"].keys())
    if not both:
        return waiting(NOISE, NOTHING)
    table = []
    for epsilon in both:
        entry: dict[str, Any] = {"epsilon": f"epsilon {called(epsilon)}"}
        for side, name in (("x", "simulated"), ("y", "dense")):
            entry |= {
                f"{side}_{end}": by[name][epsilon][end] for end in ("mean", "low", "high") if end in by[name][epsilon]
            }
        table.append(entry)
    ends = padded(number for entry in table for key, number in entry.items() if key != "epsilon")
    scale, axis = alt.Scale(domain=ends, nice=False), alt.Axis(format=".3~f", tickCount=6)
    x = alt.X("x_mean:Q", title="foretold: accuracy of the simulation (not private)", scale=scale, axis=axis)
    y = alt.Y("y_mean:Q", title="measured: accuracy at this epsilon", scale=scale, axis=axis)
    base = alt.Chart(values(table))
    equal = alt.Chart(values([{"x": end, "y": end} for end in ends])).mark_line(color=SOFT, strokeDash=[5, 4])
    colour = alt.value("#0072B2")
    layers = [
        equal.encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale)),
        base.transform_filter("isValid(datum.x_low)").mark_rule(strokeWidth=2, opacity=0.7)
        .encode(x=alt.X("x_low:Q", scale=scale), x2="x_high:Q", y=y, color=colour),
        base.transform_filter("isValid(datum.y_low)").mark_rule(strokeWidth=2, opacity=0.7)
        .encode(x=x, y=alt.Y("y_low:Q", scale=scale), y2="y_high:Q", color=colour),
        base.mark_point(filled=True, size=80, opacity=1)
        .encode(x=x, y=y, color=colour, tooltip=[alt.Tooltip(f"{n}:Q", format=".4f") for n in ("x_mean", "y_mean")]),
        base.mark_text(align="left", dx=9, dy=11, fontSize=12, color=INK).encode(x=x, y=y, text="epsilon:N"),
    ]  # fmt: skip
    text = titled(
        NOISE,
        band_words([row for row in rows if row["epsilon"] in both], ("epsilon", "arm")),
        "simulated: a quarter of the batch and of the noise, as many steps; dashed: foretold = measured",
        "with that little noise a simulation spends far more than the epsilon written beside its point",
    )
    return themed(alt.layer(*layers).properties(width=440, height=400, title=text))


def _of(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row["arm"] == name]
