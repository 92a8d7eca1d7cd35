"""The ledger: what each network cost, what choosing it cost, what all runs cost; and what is free or not covered."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import altair as alt

from labkit.charts import embeddings_coverage, finetune_coverage, queries_coverage
from labkit.charts.epsilons import called, is_number, ordered
from labkit.charts.finetune_rows import PAYING
from labkit.charts.rows import NOTHING, Row, values
from labkit.charts.theme import FAINT, INK, SOFT, WIDTH, themed, titled, waiting
from labkit.errors import BadInput

if TYPE_CHECKING:
    from labkit.runs.view import View

LEDGER = "The ledger: what was spent"
RELEASED = {"dense": "dense network", "synthetic": "tuned language model", "dpsgd": "model with its embedding tables"}
FINETUNED = "fine-tuned network, the choice of its rows included"
LINE = 62  # letters of a reason in one line


def ledger_rows(view: View) -> list[dict[str, Any]]:
    """For each epsilon of what is released (`released`): (a) its run alone, and (b) charged for choosing its learning
    rate.

    (b) counts every network that its tuning trained; those of one tuning seed share their draws and are one event.
    """
    from labkit.privacy import shared  # with it comes PyTorch, which no refused parameter should wait for
    from labkit.privacy.events import dp_sgd

    found: dict[float, dict[str, Any]] = {}
    for row in view.results():
        if not released(row) or not is_number(row["epsilon"]) or row["epsilon"] in found:
            continue
        own = dp_sgd(row["sample_rate"], row["noise_multiplier"], row["steps"])
        charged = row["epsilon_spent"]
        if "tuned_rates" in row:
            sigma = shared([row["noise_multiplier"]] * row["tuned_rates"])
            tuning = [dp_sgd(row["sample_rate"], sigma, row["steps"])] * row.get("tuning_seeds", 1)
            charged = _epsilon([own] * int(row.get("executions", 1)) + tuning, row["delta"])
        found[row["epsilon"]] = {
            "epsilon": row["epsilon"], "alone": row["epsilon_spent"], "charged": charged, "delta": row["delta"],
            "tried": row.get("tuned_rates", 0) * row.get("tuning_seeds", 1), "accountant": row["accountant"],
            "arm": row["arm"], "released": released(row), "unit": row.get("unit", "example"),
        }  # fmt: skip
    return [found[epsilon] for epsilon in ordered(found)]


def released(row: Row) -> str:
    """What a result releases, in words; empty for one that does not stand for its epsilon.

    All fine-tuned networks of one epsilon cost the same; those without a choice stand for them, as all their steps are
    of one kind.
    """
    if "moving" in row:
        return "" if row["arm"] in PAYING else FINETUNED
    return RELEASED.get(row["arm"], "")


def all_runs(view: View) -> dict[str, Any] | None:
    """(c) Everything that was run, tuning and losing runs included; None before the first batch has ended."""
    return in_total(view.series("ledger"))


def in_total(rows: Sequence[Row]) -> dict[str, Any] | None:
    """What the rows of a series `ledger` cost together; None without any.

    Networks of one draw are one event across epsilons as well. Repeats join by plain composition: epsilons and deltas
    add up.
    """
    from labkit.privacy import shared
    from labkit.privacy.events import dp_sgd
    from labkit.privacy.selection import selection_event

    if not rows:
        return None
    groups: dict[tuple[Any, ...], list[float]] = {}
    events, added, times, networks = [], 0.0, 0, 0
    for row in rows:
        if row["what"] == "training":
            key = row["group"], row["sample_rate"], row["steps"]
            groups.setdefault(key, []).append(row["noise_multiplier"])
            networks += row["networks"]
        elif row["what"] == "chosen":
            events += [selection_event(row["epsilon_each"])] * row["times"]
        else:
            added, times = added + row["epsilon_each"] * row["times"], times + row["times"]
    events += [dp_sgd(rate, shared(sigmas), steps) for (_, rate, steps), sigmas in groups.items()]
    delta = rows[0]["delta"]
    epsilon = _epsilon(events, delta) + added
    return {"epsilon": epsilon, "delta": delta * (1 + times), "networks": networks, "draws": len(groups)}


def totals(view: View) -> str:
    """The three totals in words."""
    rows, everything = ledger_rows(view), all_runs(view)
    if not rows or everything is None:
        return ""
    most = rows[-1]
    return (
        f"(a) a run alone: epsilon {most['alone']:.3g}; (b) charged for choosing its learning rate: "
        f"{_number(most['charged'])}; (c) all runs with tuning: {_number(everything['epsilon'])}, "
        "not a releasable guarantee"
    )


def ledger(view: View) -> alt.VConcatChart | alt.Chart:
    """The three totals, and the lists of what is free and what is not covered, each with its reason."""
    from labkit.privacy import coverage

    rows, everything = ledger_rows(view), all_runs(view)
    if not rows:
        return waiting(LEDGER, NOTHING)
    first = rows[0]
    said = {"synthetic": queries_coverage, "dpsgd": embeddings_coverage}.get(first["arm"], coverage)
    said = finetune_coverage if first["released"] == FINETUNED else said
    table = [("epsilon asked for", "(a) this run", "(b) charged for choosing", "networks tried for (b)")]
    table += [(called(r["epsilon"]), f"{r['alone']:.3f}", _number(r["charged"]), f"{r['tried']:,}") for r in rows]
    whole = [("(c) all runs with tuning", "not counted yet")]
    if everything:
        counted = f"epsilon {_number(everything['epsilon'])} at delta {everything['delta']:.2g}: "
        counted += f"{everything['networks']:,} networks on {everything['draws']:,} draws; not a releasable guarantee"
        whole = [(whole[0][0], counted)]
    parts = [
        _table(table, (0, 130, 270, 440), heading=True),
        _table(whole, (0, 200)),
        _titled("Free, and why", _table([(line.what, line.why) for line in said.free()], (0, 240))),
        _titled("Not private, and why", _table([(line.what, line.why) for line in said.not_covered()], (0, 240))),
    ]
    text = titled(
        LEDGER,
        f"{first['released']}; add/remove one training {first['unit']}; delta {first['delta']:.2g}; "
        f"{first['accountant']}; Poisson",
        "networks that share their draws are one event: counting them as independent would say too little",
    )
    return themed(alt.vconcat(*parts, spacing=14).properties(title=text))


def _titled(text: str, chart: alt.Chart) -> alt.Chart:
    return chart.properties(title=alt.TitleParams(text=text, fontSize=12, fontWeight=600, offset=4))


def _table(rows: Sequence[Sequence[str]], at: Sequence[int], *, heading: bool = False) -> alt.LayerChart:
    cells = [
        {
            "line": line,
            "x": at[column],
            "ink": SOFT if heading and line == 0 else INK,
            "text": textwrap.wrap(text, LINE if column else LINE // 2),
        }
        for line, row in enumerate(rows)
        for column, text in enumerate(row)
    ]
    step = 34 if max(len(cell["text"]) for cell in cells) > 1 else 21
    base = alt.Chart(values(cells), width=WIDTH, height=alt.Step(step)).encode(
        y=alt.Y("line:O", axis=None), x=alt.X("x:Q", scale=alt.Scale(domain=[0, WIDTH], nice=False), axis=None)
    )
    rule = base.mark_rule(color=FAINT, yOffset=step / 2).encode(x=alt.value(0), x2=alt.value("width"))
    return alt.layer(
        rule,
        base.mark_text(align="left", fontSize=11.5, lineHeight=14, dy=(21 - step) / 2).encode(
            text="text:N", color=alt.Color("ink:N", scale=None)
        ),
    )


def _epsilon(events: Sequence[Any], delta: float) -> float:
    """The accountants' bound; infinite where neither can compute one."""
    from labkit.privacy import spent

    try:
        return spent(events, delta).epsilon
    except BadInput:
        return math.inf


def _number(epsilon: float) -> str:
    if epsilon >= 1000 and math.isfinite(epsilon):
        return f"{epsilon:,.0f}"
    return f"{epsilon:.3g}" if math.isfinite(epsilon) else "more than PLD and RDP can bound"
