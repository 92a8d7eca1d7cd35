"""What the panel hands to the page for who does not see it, or not the colours; the page is asked in tests/browser."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import altair as alt
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand, until

from labkit.charts import still
from labkit.charts.png import in_words
from labkit.charts.theme import titled
from widgets import LivePanel, live_curve

Make = Callable[..., LivePanel]


def curve(**live: object) -> dict:
    return live_curve.live_curve(SimpleNamespace(live={"series": "curve"} | live), FakeSpec.of()).to_dict()


def test_a_live_line_differs_in_dash_as_well() -> None:
    for drawn in (curve(), curve(arms=["dense", "found"])):
        colour, dash = (drawn["encoding"][channel]["scale"]["range"] for channel in ("color", "strokeDash"))
        assert len(colour) == len({tuple(one) for one in dash}) >= 2
        assert drawn["encoding"]["color"]["legend"] == drawn["encoding"]["strokeDash"]["legend"]  # or there are two


def test_the_live_chart_in_words_by_hand() -> None:
    """The last row of each line counts, and an arm's lines are averaged."""
    rows = [
        {"arm": arm, "name": "a", "seed": seed, "step": step, "selection_accuracy": value}
        for arm, seed, step, value in (
            ("dense", 0, 1, 0.1), ("dense", 0, 2, 0.5), ("dense", 1, 1, 0.7), ("found", 0, 1, 0.25),
        )
    ]  # fmt: skip
    rows.append({"arm": "found", "name": "a", "seed": 0, "step": 2})  # nothing measured here
    assert live_curve.in_words(EXPERIMENT, rows, "better by a bit").split("\n") == [
        "Chart of accuracy on the selection split against training step.",
        "Lines end at: found by search 0.25, dense parent 0.6.",
        "better by a bit",
    ]
    assert live_curve.in_words(EXPERIMENT, []) == "Chart of accuracy on the selection split against training step."


def test_a_picture_in_words_by_hand() -> None:
    """A line below the title that was wrapped is one line again; others are told apart."""
    long = "one two " * 20
    chart = alt.Chart(alt.Data(values=[])).mark_point().properties(title=titled("A question?", "short", long, "end"))
    assert in_words(chart, "undecided") == f"A question?\nshort; {long.strip()}; end\nundecided"
    assert in_words(alt.Chart(alt.Data(values=[])).mark_point()) == ""
    assert in_words(alt.Chart(alt.Data(values=[])).mark_point().properties(title="plain")) == "plain"


def test_a_still_picture_carries_its_words() -> None:
    chart = alt.Chart(alt.Data(values=[])).mark_point().properties(title="plain")
    assert still(chart, verdict="better")._repr_png_()[1]["alt"] == "plain\nbetter"
    assert "alt" not in still(chart.properties(title=""))._repr_png_()[1]


def test_a_finished_run_is_told_in_the_words_of_chart_and_figure(make: Make) -> None:
    panel = make(seeds=1)
    hand, figure = Hand(panel), panel.figure("curve")
    assert "undecided" not in figure.words
    hand.press("run")
    hand.wait_for("Finished")
    until(lambda: figure.words.endswith("undecided: 2 results of a fake experiment"))
    assert hand.board.chart.words.endswith("undecided: 2 results of a fake experiment")
    assert "fancy 0.6" in hand.board.chart.words
    assert figure.width > 0


def test_the_status_comes_with_the_state_it_tells_of(make: Make) -> None:
    """One message: the page announces a new state at once and mere progress seldom, and knows them by the classes."""
    board = Hand(make()).board
    sent: list[dict] = []
    board.status.send_state = lambda key=None: sent.append(set(key) if isinstance(key, (set, list)) else {key})
    board.show_state("paused", "Paused.", "busy")
    assert sent == [{"value", "_dom_classes"}]
    assert {"labkit-status", "labkit-busy", "labkit-is-paused"} <= set(board.status._dom_classes)
    board.show_state("idle", "Ready.", "calm")
    assert {"labkit-busy", "labkit-is-paused"} & set(board.status._dom_classes) == set()


def test_every_entry_has_its_help_at_hand(make: Make) -> None:
    for field in Hand(make()).board.controls.fields.values():
        assert field.help.value == f"{field.item.help}; {field.item.allowed()}"
        assert {"labkit-help", "labkit-unseen"} <= set(field.help._dom_classes)
        assert field.help in field.widget.children
