"""What a page is told of a growing chart. The drawing itself is looked at in tests/browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widgets.live_chart import LiveChart, javascript

SPEC = {"data": {"name": "points"}, "mark": "line", "encoding": {"x": {"field": "step", "type": "quantitative"}}}


class Page:
    """The page's side of the chart, as live_chart.js keeps it: how many rows it has, and what they are."""

    def __init__(self, chart: LiveChart) -> None:
        self.chart, self.rows = chart, list(chart.rows)
        chart.send = self.receive
        chart.observe(lambda change: setattr(self, "rows", list(change["new"])), "rows")

    def receive(self, message: dict[str, Any]) -> None:
        if message["at"] > len(self.rows):
            self.chart._handle_custom_msg({"have": len(self.rows)}, [])
        else:
            self.rows += message["rows"][len(self.rows) - message["at"] :]


def numbered(first: int, count: int) -> list[dict[str, int]]:
    return [{"step": step} for step in range(first, first + count)]


@pytest.fixture
def chart() -> Iterator[LiveChart]:
    made = LiveChart(SPEC, keep=100)
    yield made
    made.close()


def test_an_appended_row_travels_alone(chart: LiveChart) -> None:
    page, assigned = Page(chart), []
    chart.observe(assigned.append, "rows")
    chart.append(numbered(0, 3))
    chart.append(numbered(3, 2))
    assert page.rows == chart.rows == numbered(0, 5)
    assert assigned == []  # a change of the trait would send every row again


def test_a_page_opened_later_starts_complete(chart: LiveChart) -> None:
    chart.append(numbered(0, 3))
    assert chart.get_state()["rows"] == numbered(0, 3)


def test_a_page_that_missed_a_message_asks_for_it(chart: LiveChart) -> None:
    page = Page(chart)
    receive, chart.send = chart.send, lambda message: None
    chart.append(numbered(0, 3))
    chart.send = receive
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
