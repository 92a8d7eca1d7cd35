"""What a private choice costs: the noise of the same training with and without paying for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.embeddings_panels import lines_legend
from labkit.charts.epsilons import Places, is_number
from labkit.charts.finetune_rows import READINGS, by_method, drawn_arm, main_rows
from labkit.charts.rows import Row, grouped, values
from labkit.charts.theme import WIDTH, arm, panel_title, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

NOISE = "What a private choice costs in noise"
WITHOUT = "without a choice"
HALF = WIDTH // 2 - 30
TICKS = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 1.5, 2, 3, 4, 6, 8)]  # multipliers


def finetune_noise(view: View) -> alt.HConcatChart | alt.Chart:
    """The noise multiplier at equal epsilon of each method that pays for a choice, beside what the same training would
    have needed without it; right, how much more that is, in percent. Methods of equal cost share a line."""
    entries = noise_entries(main_rows(view))
    if not entries:
        return waiting(NOISE, "no method that pays for a choice of rows has finished yet")
    places, lines = Places.of(entry["epsilon"] for entry in entries), list(dict.fromkeys(e["line"] for e in entries))
    table = [entry | {"at": places.at[entry["epsilon"]]} for entry in entries]
    bare = [entry | {"line": WITHOUT, "sigma": entry["without"]} for entry in table]
    looks = {entry["line"]: arm(drawn_arm(entry["method"])) for entry in entries}
    colours = [*(looks[line].colour for line in lines), "#333333"]
    names, dashes = [*lines, WITHOUT], [[1, 0]] * len(lines) + [[5, 4]]
    style = {
        "color": alt.Color("line:N", title=None, scale=alt.Scale(domain=names, range=colours), legend=lines_legend()),
        "strokeDash": alt.StrokeDash(
            "line:N", title=None, scale=alt.Scale(domain=names, range=dashes), legend=lines_legend()
        ),
    }
    held = [entry["sigma"] for entry in [*table, *bare]]
    domain = [0.9 * min(held), 1.1 * max(held)]
    scale = alt.Scale(type="log", domain=domain, nice=False)
    ticks = [tick for tick in TICKS if domain[0] <= tick <= domain[1]]
    axis = alt.Axis(values=ticks if len(ticks) > 1 else sorted(set(held)), format=".3~g")
    noise = alt.Y("sigma:Q", title="noise multiplier \u03c3 (log scale)", scale=scale, axis=axis)
    more = alt.Y("more:Q", title="more noise for the choice", scale=alt.Scale(zero=True), axis=alt.Axis(format=".2~%"))
    both = [
        _line([*bare, *table], style, places.x(), noise).properties(title=panel_title("at equal epsilon")),
        _line(table, style, places.x(), more).properties(title=panel_title("with the choice, over without, minus 1")),
    ]
    text = titled(
        NOISE,
        "random and largest public rows look at no data: they train with the lower noise",
        *_shared(entries),
        "the lower line is a calculation; nothing was trained with it",
    )
    return themed(alt.hconcat(*both, spacing=24).properties(title=text))


def noise_entries(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """For each line and epsilon: sigma, `without` a choice, and `more`, the share by which it is larger.

    Methods of the same two numbers at every epsilon are one line, named by the first of them.
    """
    told = [row for row in rows if "noise_multiplier_without" in row and is_number(row["epsilon"])]
    found: dict[str, dict[float, tuple[float, float]]] = {}
    for row in told:
        pair = float(row["noise_multiplier"]), float(row["noise_multiplier_without"])
        found.setdefault(row["arm"], {}).setdefault(row["epsilon"], pair)
    members: dict[tuple[Any, ...], list[str]] = {}
    for name in by_method(found):
        members.setdefault(tuple(sorted(found[name].items())), []).append(name)
    return [
        {"line": _name(names), "method": names[0], "methods": names, "epsilon": epsilon, "sigma": sigma}
        | {"without": without, "more": sigma / without - 1}
        for numbers, names in members.items()
        for epsilon, (sigma, without) in numbers
    ]


def _name(names: Sequence[str]) -> str:
    if len(names) > 1 and set(names) <= set(READINGS):
        return "SPARTA, every reading" if len(names) == len(READINGS) else f"SPARTA, {len(names)} readings"
    return ", ".join(arm(drawn_arm(name)).words for name in names)


def _shared(entries: Sequence[Row]) -> list[str]:
    """The largest and smallest share, in words."""
    said = []
    for (line,), own in grouped(entries, ("line",)).items():
        low, high = (f"{100 * end(entry['more'] for entry in own):.2g}" for end in (min, max))
        said.append(f"{line}: {low} % more noise" if low == high else f"{line}: {low} to {high} % more noise")
    return said


def _line(table: Sequence[Row], style: dict[str, Any], x: alt.X, y: alt.Y) -> alt.LayerChart:
    told = ["line:N", "epsilon:Q", *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("sigma", "without", "more"))]
    base = alt.Chart(values(table)).encode(x=x, y=y, color=style["color"])
    return alt.layer(
        base.mark_line(strokeWidth=2).encode(strokeDash=style["strokeDash"]),
        base.mark_point(filled=True, size=42, opacity=1).encode(tooltip=told),
    ).properties(width=HALF, height=220)
