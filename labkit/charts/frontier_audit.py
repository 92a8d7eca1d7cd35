"""The accountant's upper bound and what audits can prove from below, on one axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import called, is_number, ordered
from labkit.charts.rows import Row, grouped, values
from labkit.charts.theme import INK, SOFT, WIDTH, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

AUDIT = "Epsilon between two bounds: what is promised, and what an attack can prove"
METHODS = {
    "game": "distinguishing game",
    "supposing_nothing": "game, supposing nothing",
    "one_run": "canaries in one run",
}
LOOKS = {
    "game": ("#0072B2", "triangle-right"),
    "supposing_nothing": ("#56B4E9", "diamond"),
    "one_run": ("#009E73", "circle"),
}
REFUTED = "#C25600"


def audit(view: View) -> alt.LayerChart | alt.Chart:
    """For each epsilon the accountant's upper bound and the lower bounds of each kind of audit, as far as they came.

    Of several reports of one audit the one with most runs counts; the earlier ones leave faint marks behind.
    """
    rows = view.series("audit")
    if not rows:
        return waiting(AUDIT, "no audit has reported yet")
    table = [_entry(row) for row in rows]
    latest = [group[-1] for group in _by_runs(table).values()]
    sort = [called(epsilon) for epsilon in ordered(row["epsilon"] for row in rows)]
    spans = [_span([e for e in latest if e["epsilon"] == epsilon]) for epsilon in sort]
    claims = [span["claimed"] for span in spans]
    most = max([*claims, *(entry["lower"] for entry in table)])
    scale = alt.Scale(type="sqrt", domain=[0, 1.04 * most], nice=False)
    ticks = sorted({row["epsilon"] for row in rows if is_number(row["epsilon"])})
    axis = alt.Axis(values=[0, *ticks], format=".3~g", labelOverlap=True)
    y = alt.Y("epsilon:N", sort=sort, title="epsilon", axis=alt.Axis(labelFontSize=12, labelColor=INK))

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="epsilon (square-root scale, so that 0 has a place)", scale=scale, axis=axis)

    methods = [name for name in METHODS if any(entry["method"] == name for entry in latest)]
    domain = [METHODS[name] for name in methods]
    legend = alt.Legend(title=None, symbolSize=110, symbolOpacity=1)
    colour = alt.Color(
        "called:N", scale=alt.Scale(domain=domain, range=[LOOKS[name][0] for name in methods]), legend=legend
    )
    shape = alt.Shape(
        "called:N", scale=alt.Scale(domain=domain, range=[LOOKS[name][1] for name in methods]), legend=legend
    )
    told = [alt.Tooltip("called:N", title="audit"), alt.Tooltip("lower:Q", format=".3f"), "claimed:Q", "runs:Q"]
    between = alt.Chart(values(spans)).transform_filter("!datum.refuted").mark_bar(height=11, color="#d9d9d9")
    promised = alt.Chart(values(spans)).mark_tick(color=INK, thickness=3, size=24)
    faint = alt.Chart(values([entry for entry in table if entry not in latest])).mark_point(size=28, opacity=0.35)
    said = alt.Chart(values(spans)).mark_text(align="left", fontSize=12, dx=10)
    hoped = alt.Chart(values(latest)).transform_filter("isValid(datum.expected)").mark_tick(thickness=1.5, size=16)
    proved = alt.Chart(values(latest)).mark_point(filled=True, size=110, opacity=1)
    layers = [
        between.encode(x=x("lower"), x2="claimed:Q", y=y),
        faint.encode(x=x("lower"), y=y, color=colour, shape=shape),
        promised.encode(x=x("claimed"), y=y),
        hoped.encode(x=x("expected"), y=y, color=colour),
        proved.encode(x=x("lower"), y=y, color=colour, shape=shape, tooltip=told),
        said.encode(x=alt.value(WIDTH - 150), y=y, text="said:N", color=alt.Color("ink:N", scale=None)),
    ]
    text = titled(
        AUDIT,
        "black: the accountant's upper bound; grey: where the true epsilon may lie",
        "; ".join(confidence_words(confidence) for confidence in sorted({row["confidence"] for row in rows})),
        _runs_words(latest),
        "thin ticks: what a right program can be expected to show" if any("expected" in e for e in latest) else "",
    )
    return themed(alt.layer(*layers).properties(width=WIDTH - 150, height=alt.Step(36), title=text))


def confidence_words(confidence: float) -> str:
    """A confidence, and how often a right program would be accused at it."""
    return (
        f"lower bounds at {100 * confidence:.4g} % confidence: "
        f"of {round(1 / (1 - confidence)):,} audits of a right program, one accuses it wrongly"
    )


def _entry(row: Row) -> dict[str, Any]:
    claimed, lower = float(row["epsilon_claimed"]), float(row["epsilon_lower"])
    made = {"epsilon": called(row["epsilon"]), "claimed": claimed, "lower": lower, "method": row["method"]}
    made |= {"called": METHODS[row["method"]], "runs": int(row["runs"])}
    return made | ({"expected": float(row["epsilon_expected"])} if "epsilon_expected" in row else {})


def _by_runs(table: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], list[Row]]:
    return grouped(sorted(table, key=lambda entry: entry["runs"]), ("epsilon", "method"))


def _span(latest: Sequence[Row]) -> dict[str, Any]:
    """From the best lower bound to the claim, and what that says."""
    best, claim = max(entry["lower"] for entry in latest), latest[0]["claimed"]
    refuted = best > claim
    said = f"refuted: at least {best:.2f}" if refuted else f"at least {best:.2f}, {100 * best / claim:.0f} % of it"
    made = {"epsilon": latest[0]["epsilon"], "claimed": claim, "lower": best, "refuted": refuted, "said": said}
    return made | {"ink": REFUTED if refuted else SOFT}


def _runs_words(latest: Sequence[Row]) -> str:
    most = {name: max((e["runs"] for e in latest if e["method"] == name), default=0) for name in METHODS}
    return "; ".join(f"{METHODS[name]}: {count:,} so far" for name, count in most.items() if count)
