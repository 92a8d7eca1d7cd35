"""The table of the latest rows: what it shows, that no text is markup, and how rarely it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import ipywidgets as W
import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand, until
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.runs.events import Event, Point
from widgets import LivePanel
from widgets.gauge import spent
from widgets.live_curve import live_curve
from widgets.live_table import EVERY, LETTERS, LiveTable, live_table

COLUMNS = ("arm", "document", "query")
TABLE = {"series": "samples", "columns": list(COLUMNS), "rows": 3}


class Clock:
    """Seconds that a test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Parsed(HTMLParser):
    """What a page makes of a text: its elements with their attributes, and the text of each cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.cells += [""] if tag in ("td", "th", "caption") else []

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


def row(number: int, document: str = "Myopia.") -> dict[str, Any]:
    return {"arm": "untuned", "document": document, "query": f"query {number}", "row": number}


def queries(table: LiveTable) -> list[str]:
    return [cell for cell in Parsed(table.widget.value).cells if cell.startswith("query ")]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> LiveTable:
    return LiveTable("samples", COLUMNS, 3, clock)


def test_the_newest_rows_come_first_under_named_columns(table: LiveTable) -> None:
    assert table.widget.layout.display == "none"
    table.replace([row(i) for i in range(5)])
    page = Parsed(table.widget.value)
    assert table.widget.layout.display is None
    assert page.cells[:4] == ["Latest samples, newest first", "Arm", "Document", "Query"]
    assert page.cells[4:7] == ["queries of the untuned model", "Myopia.", "query 4"]
    assert queries(table) == ["query 4", "query 3", "query 2"]
    table.replace([])
    assert (table.widget.value, table.widget.layout.display) == ("", "none")


def test_whoever_cannot_see_it_hears_a_caption_and_headings(table: LiveTable) -> None:
    table.replace([row(0)])
    tags = Parsed(table.widget.value).tags
    assert [name for name, _ in tags][:2] == ["table", "caption"]
    assert [given for name, given in tags if name == "th"] == [{"scope": "col"}] * 3


def test_a_script_in_a_document_is_text(table: LiveTable) -> None:
    document = "<script>alert('x')</script> & <b onclick=\"go()\">bold</b>"
    table.replace([row(0, document) | {"arm": "<i>", "query": "</td></table><img src=x>"}])
    page = Parsed(table.widget.value)
    assert page.cells[4:] == ["<i>", document, "</td></table><img src=x>"]
    assert {name for name, _ in page.tags} == {"table", "caption", "thead", "tr", "th", "tbody", "td"}


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["<script>", "&lt;", '"', "'", "<!--", "]]>", "\u2028"]))
def test_every_text_is_shown_and_none_is_markup(text: str, piece: str) -> None:
    text = (piece + text).replace("\r", " ").replace("\0", " ")
    table = LiveTable("samples", ("query",))
    table.replace([{"query": text}])
    page = Parsed(table.widget.value)
    assert page.cells == ["Latest samples, newest first", "Query", text]
    assert [name for name, _ in page.tags] == ["table", "caption", "thead", "tr", "th", "tbody", "tr", "td"]


def test_rows_that_come_fast_are_drawn_at_a_bounded_rate(
    table: LiveTable, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[W.Widget] = []
    monkeypatch.setattr(W.Widget, "_send", lambda self, *_, **__: sent.append(self))
    table.append([row(0)])  # the first is worth seeing at once
    assert queries(table) == ["query 0"]
    sent.clear()
    for i in range(1, 1000):  # ten seconds of a hundred rows each
        clock.now = 0.01 * i
        table.append([row(i)])
    assert 8 <= len(sent) <= 10 / EVERY
    table.draw()  # the training has ended: what was held back
    assert queries(table) == ["query 999", "query 998", "query 997"]
    sent.clear()
    table.draw()
    assert sent == []


def test_long_texts_and_missing_fields(table: LiveTable) -> None:
    table.replace([{"arm": "synthetic", "document": "word " * 200}])
    cells = Parsed(table.widget.value).cells[4:]
    assert len(cells[1]) <= LETTERS
    assert cells[1].endswith(" \u2026")
    assert cells[2] == ""
    numbers = LiveTable("samples", ("epsilon", "row"))
    numbers.replace([{"epsilon": 3.0, "row": 7}, {"epsilon": "plain", "row": 0}])
    assert Parsed(numbers.widget.value).cells[3:] == ["plain", "0", "3", "7"]


def sampling_run(point: FakeSpec, seed: int, resources: Any) -> Iterator[Event]:
    """The fake experiment, which tells a sample beside every point of its curve."""
    for event in EXPERIMENT.run(point, seed, resources):
        if isinstance(event, Point):
            yield Point("samples", row(event.values["step"], "<script>alert(1)</script>"))
        yield event


SAMPLING = replace(EXPERIMENT, run=sampling_run, live=dict(EXPERIMENT.live) | {"table": TABLE})


def test_the_panel_shows_what_a_training_samples_and_the_store_keeps(make: Callable[..., LivePanel]) -> None:
    hand = Hand(make(experiment=SAMPLING, steps=40, seeds=1, delay=0.002))
    table = hand.board.table
    assert table.widget in hand.board.widget.children
    assert table.widget.layout.display == "none"
    hand.press("run")
    until(lambda: table.widget.value)
    hand.wait_for("Finished")
    until(lambda: "query 40" in queries(table), "for the last sample")
    assert len(queries(table)) == 3
    assert "<script" not in table.widget.value
    again = Hand(make(experiment=SAMPLING, steps=40, seeds=1, delay=0.002))  # opened later: from the store
    assert queries(again.board.table) == queries(table)
    assert again.points() == hand.points()


def test_an_experiment_that_names_no_table_has_none(make: Callable[..., LivePanel]) -> None:
    assert live_table(EXPERIMENT) is None
    hand = Hand(make(seeds=1, steps=5))
    assert hand.board.table is None
    assert not any("labkit-live-table" in child._dom_classes for child in hand.board.widget.children)
    hand.press("run")
    hand.wait_for("Finished")


def drawn(**live: Any) -> dict[str, Any]:
    return live_curve(SimpleNamespace(live={"series": "curve"} | live), FakeSpec.of()).to_dict()["encoding"]["y"]


def test_the_live_curve_draws_a_loss() -> None:
    assert drawn()["title"] == "accuracy on the selection split"
    assert drawn()["scale"] == {"domain": [0, 1], "nice": False}
    loss = drawn(y="selection_loss")
    assert (loss["field"], loss["title"], loss["scale"]) == ("selection_loss", "selection loss", {"zero": False})
    told = drawn(y="selection_loss", y_title="loss per token", domain=(0, 8))
    assert (told["title"], told["scale"]["domain"]) == ("loss per token", [0, 8])


def test_the_gauge_names_what_is_protected() -> None:
    values = {"step": 1, "steps": 2, "epsilon_spent": 0.5, "target": 3.0, "delta": 1e-5, "accountant": "PLD"}
    values |= {"sample_rate": 0.07, "source": "os", "plan": "tuned model"}
    assert "add/remove one training document, " in spent(values | {"unit": "document"})
    assert "add/remove one training example, " in spent(values)
