"""What a row that changes tells: why noise only on touched rows is not private."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts.epsilons import in_words, is_number, ordered
from labkit.charts.rows import Row, values
from labkit.charts.theme import INK, SOFT, WIDTH, arm, themed, titled, waiting

if TYPE_CHECKING:
    from labkit.runs.view import View

LEAKS = "What a row that changes tells about one example"
NOT_PRIVATE = "#B00020"
EANA, THRESHOLDED = "eana", ("adafest", "adafest_plus")
MECHANISMS = ("dpsgd", "lazydp", "fest", *THRESHOLDED, EANA)
LEFT, RIGHT = 230, 270  # px for the names and the words


def leaks(view: View) -> alt.LayerChart | alt.Chart:
    """The probability that a step changes a row that nobody else touches, without (hollow) and with (filled) the one
    example that would touch it, and the epsilon that seeing the change proves, beside what the step spends.

    EANA, noise on touched rows alone, is there to be seen: its row changes exactly if the example takes part. It is no
    method of this lab. At the largest epsilon of the run.
    """
    told = [row for row in view.series("leak") if is_number(row["epsilon"])]
    if not told:
        return waiting(LEAKS, "not computed yet")
    epsilon = ordered(row["epsilon"] for row in told)[-1]
    rows = [_row(row) for row in told if row["epsilon"] == epsilon]
    rows = list({row["line"]: row for row in rows}.values())
    rows.sort(key=lambda row: (row["rank"], row["threshold"], row["f"]))
    text = titled(
        LEAKS,
        "probability that a step changes a row that one example alone touches: hollow without it, filled with it",
        f"a step at {in_words(epsilon)} of the whole training; nothing is sampled here, they are the mechanisms' laws",
        "EANA: noise on the touched rows alone, NOT PRIVATE at any amount of noise, and never offered",
        width=80,
    )
    return themed(_drawn(rows).properties(title=text))


def _row(row: Row) -> dict[str, Any]:
    name, seen, step = row["mechanism"], row.get("observed_epsilon"), row.get("step_epsilon")
    own = row.get("threshold", 0.0), row.get("selection_fraction", 0.0)
    endless = name == EANA or seen is None
    said = "epsilon infinite: NOT PRIVATE" if endless else f"epsilon {seen:.2g}"
    said += "" if endless or step is None else f" of the step's {step:.3g}"
    said = f"{row['changed_untouched']:.2g}, {row['changed_touched']:.2g}: {said}"
    words = "EANA (not private)" if name == EANA else arm(name).words
    return {
        "line": words + (f": threshold {own[0]:g}, f {own[1]:g}" if name in THRESHOLDED else ""),
        "untouched": float(row["changed_untouched"]),
        "touched": float(row["changed_touched"]),
        "said": said,
        "colour": NOT_PRIVATE if endless else arm(name).colour,
        "bold": "bold" if endless else "normal",
        "rank": MECHANISMS.index(name) if name in MECHANISMS else len(MECHANISMS),
        "threshold": float(own[0]),
        "f": float(own[1]),
    }


def _drawn(rows: Sequence[dict[str, Any]]) -> alt.LayerChart:
    y = alt.Y("line:N", title=None, sort=[row["line"] for row in rows],
              axis=alt.Axis(labelFontSize=11, labelColor=INK, labelLimit=LEFT))  # fmt: skip
    base = alt.Chart(values(rows)).encode(y=y, color=alt.Color("colour:N", scale=None))
    width = WIDTH - LEFT - RIGHT + 60

    def x(field: str) -> alt.X:
        scale = alt.Scale(domain=[-0.04, 1.04], nice=False)
        axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f")
        return alt.X(f"{field}:Q", title="probability that the row changes", scale=scale, axis=axis)

    told = ["line:N", alt.Tooltip("untouched:Q", format=".3g"), alt.Tooltip("touched:Q", format=".3g"), "said:N"]
    layers = [
        base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(x=x("untouched"), x2="touched:Q"),
        base.mark_point(size=110, strokeWidth=1.8, opacity=1).encode(x=x("untouched"), tooltip=told),
        base.mark_point(size=45, filled=True, opacity=1).encode(x=x("touched"), tooltip=told),
    ]
    for weight in ("normal", "bold"):
        ink = NOT_PRIVATE if weight == "bold" else SOFT
        mark = alt.Chart(values([row for row in rows if row["bold"] == weight]))
        mark = mark.mark_text(align="left", dx=8, fontSize=11, color=ink, fontWeight=weight)
        layers.append(mark.encode(y=y, x=alt.value(width), text="said:N"))
    return alt.layer(*layers).properties(width=width, height=alt.Step(24))
