"""What a page is told of a growing chart. The drawing itself is looked at in tests/browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widgets.live_chart import LiveChart, javascript

SPEC = {"data": {"name": "points"}, "mark": "line", "encoding": {"x": {"field": "step", "type": "quantitative"}}}


class Page:
    """The page's side of the chart: a model of its own, which tells live_chart.js of a trait only where it changes, and
    the rows that live_chart.js has drawn.

    Attributes:
        updates: the traits that each update carried.
        rows: what is drawn.
    """

    def __init__(self, chart: LiveChart) -> None:
        self.chart, self.model = chart, json.loads(json.dumps(chart.get_state(["rows", "replacements"])))
        self.updates: list[set[str]] = []
        self.rows = list(self.model["rows"])
        chart._send = self.hear

    def hear(self, message: dict[str, Any], buffers: object = None) -> None:
        message = json.loads(json.dumps(message))  # what the kernel changes later in place does not change the page's
        if message["method"] == "custom":
            self.receive(**message["content"])
            return
        state = message["state"]
        self.updates.append(set(state))
        changed = {name for name, value in state.items() if self.model.get(name) != value}
        self.model |= state
        if "replacements" in changed:
            self.rows = list(self.model["rows"])
            self.ask()

    def receive(self, at: int, rows: list[dict[str, Any]]) -> None:
        if at > len(self.rows):
            self.ask()
        else:
            self.rows += rows[len(self.rows) - at :]

    def ask(self) -> None:
        self.chart._handle_custom_msg({"have": len(self.rows)}, [])


def numbered(first: int, count: int) -> list[dict[str, int]]:
    return [{"step": step} for step in range(first, first + count)]


@pytest.fixture
def chart() -> Iterator[LiveChart]:
    made = LiveChart(SPEC, keep=100)
    yield made
    made.close()


def test_an_appended_row_travels_alone(chart: LiveChart) -> None:
    page = Page(chart)
    chart.append(numbered(0, 3))
    chart.append(numbered(3, 2))
    assert page.rows == chart.rows == numbered(0, 5)
    assert page.updates == []  # a change of the trait would send every row again


def test_a_page_opened_later_starts_complete(chart: LiveChart) -> None:
    chart.append(numbered(0, 3))
    assert chart.get_state()["rows"] == numbered(0, 3)


def test_a_page_that_missed_a_message_asks_for_it(chart: LiveChart) -> None:
    page = Page(chart)
    hear, chart._send = chart._send, lambda message, buffers=None: None
    chart.append(numbered(0, 3))
    chart._send = hear
    chart.append(numbered(3, 1))
    assert page.rows == numbered(0, 4)


def test_a_page_that_has_everything_is_told_nothing(chart: LiveChart) -> None:
    page = Page(chart)
    chart.append(numbered(0, 3))
    chart._handle_custom_msg({"have": 3}, [])
    assert page.rows == numbered(0, 3)


def test_replaced_rows_are_drawn_alone(chart: LiveChart) -> None:
    page = Page(chart)
    chart.append(numbered(0, 3))
    chart.replace(numbered(7, 2))
    chart.append(numbered(9, 1))
    assert page.rows == numbered(7, 3)
    chart.replace([])
    assert page.rows == []
    assert page.updates == [{"rows", "replacements"}] * 2


def test_a_second_run_begins_empty_although_the_page_was_never_sent_the_first_runs_rows(chart: LiveChart) -> None:
    """Its rows came as messages, so that the page's own trait is empty all along."""
    page = Page(chart)
    chart.append(numbered(0, 3))
    chart.replace([])
    assert page.model["rows"] == page.rows == []
    chart.append(numbered(7, 3))
    assert page.rows == numbered(7, 3)


def test_rows_that_are_there_already_are_not_lost_by_being_replaced_with_themselves(chart: LiveChart) -> None:
    """The kernel's trait does not change then, and the page's has none of them: it asks."""
    page = Page(chart)
    chart.append(numbered(0, 3))
    chart.replace(numbered(0, 3))
    assert page.updates == [{"replacements"}]
    assert page.rows == numbered(0, 3)


@settings(deadline=None)  # the first chart of a process makes the bundle, a second's work
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3)), max_size=12), st.sampled_from([0, 4, 100])
)
def test_a_page_draws_what_the_chart_holds(steps: list[tuple[bool, int, int]], keep: int) -> None:
    """Whatever is appended and replaced, also by what is there already."""
    chart = LiveChart(SPEC, keep=keep + 4)
    page = Page(chart)
    for anew, first, count in steps:
        (chart.replace if anew else chart.append)(numbered(first, count))
        assert page.rows == chart.rows
    chart.close()


@settings(deadline=None)
@given(st.lists(st.integers(0, 120), max_size=12))
def test_memory_is_bounded_and_the_newest_rows_are_kept(counts: list[int]) -> None:
    chart = LiveChart(SPEC, keep=100)
    page, total = Page(chart), 0
    for count in counts:
        chart.append(numbered(total, count))
        total += count
    assert len(chart.rows) <= 100
    assert page.rows == chart.rows == numbered(total - len(chart.rows), len(chart.rows))
    chart.close()


def test_the_bundle_fetches_nothing() -> None:
    text = javascript()
    assert "labkit-chart" in text
    assert "export" in text[-2000:]
    assert not re.search(r"""(?:from|import)\s*\(?\s*["']https?:""", text)
