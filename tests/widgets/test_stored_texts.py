"""Texts that were stored, or typed, are shown as they are: none of them is markup in the panel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import ipywidgets as W
import pytest
from fake_experiment import EXPERIMENT
from hand import Hand

from labkit.runs.events import Event
from widgets import LivePanel

HOSTILE = "<img src=x onerror=\"document.title='run'\">"


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


def breaking(point: Any, seed: int, resources: Any) -> Iterator[Event]:
    """The fake experiment, which breaks with an error that is markup."""
    for number, event in enumerate(EXPERIMENT.run(point, seed, resources)):
        if number == 9:
            raise RuntimeError(HOSTILE)
        yield event


def parts(widget: W.Widget) -> Iterator[W.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from parts(child)


def markup(hand: Hand) -> list[str]:
    """The elements that the panel's texts would make in a page."""
    made: list[str] = []
    for part in parts(hand.board.widget):
        if isinstance(part, (W.HTML, W.HTMLMath)):
            made += Tags(part.value).tags
        if getattr(part, "description_allow_html", False):
            made += Tags(part.description).tags
        if getattr(part, "tooltip_allow_html", False):
            made += Tags(part.tooltip).tags
    return made


@pytest.fixture
def panel(make: Callable[..., LivePanel]) -> Hand:
    question = f"does {HOSTILE} hold?"
    hand = Hand(make(dataclasses.replace(EXPERIMENT, run=breaking, question=question), seeds=1, steps=20))
    assert markup(hand), "the check sees the markup that is the panel's own"
    return hand


def test_an_error_is_shown_and_is_no_markup(panel: Hand) -> None:
    panel.press("run")
    panel.wait_for(HOSTILE)
    (row,) = panel.board.runs.rows
    assert HOSTILE in row["error"]
    assert "img" not in markup(panel)


def test_what_is_typed_is_shown_and_is_no_markup(panel: Hand) -> None:
    panel.entry("data").value = HOSTILE
    panel.entry("sparsity").value = HOSTILE
    shown = [getattr(part, "value", "") for part in parts(panel.board.widget) if isinstance(part, W.Label)]
    assert any("onerror" in str(text) for text in shown)
    assert "img" not in markup(panel)
