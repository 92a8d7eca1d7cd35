"""What a panel sends to a page before the page can show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import ipywidgets as W
import pytest
from comm.base_comm import BaseComm
from fake_experiment import FakeSpec
from hand import Hand
from ipywidgets.widgets import widget as ipywidgets_widget

from labkit.experiments.queries import QueriesSpec
from labkit.spec import Spec
from widgets import LivePanel
from widgets.controls import Controls
from widgets.parts import Parts

Make = Callable[..., LivePanel]


def test_parts_by_hand() -> None:
    parts = Parts()
    one, two = parts(W.Label, "a", classes="x y"), parts(W.Label, "b")
    entry, box = parts(W.Text, description="c"), parts(W.Box, [one, two], classes="z")
    assert (one.value, one._dom_classes, two._dom_classes, box._dom_classes) == ("a", ("x", "y"), (), ("z",))
    assert one.layout is two.layout is entry.layout is box.layout
    assert one.style is two.style
    assert [type(part.style).__name__ for part in (one, entry)] == ["LabelStyle", "TextStyle"]
    assert (entry.description, box.children) == ("c", (one, two))
    assert Parts()(W.Label).layout is not one.layout  # each panel has its own: one may be closed


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts what is sent to the page: widgets by their model, and the names of traits that are sent later."""
    counted: Counter = Counter()

    class Counted(BaseComm):
        def publish_msg(self, msg_type: str, data: dict | None = None, **_: object) -> None:
            state = (data or {}).get("state", {})
            counted.update([state["_model_name"]] if msg_type == "comm_open" else list(state))

    monkeypatch.setattr(ipywidgets_widget.comm, "create_comm", lambda *_, **given: Counted(**given))
    return counted


@pytest.mark.parametrize("spec", [FakeSpec, QueriesSpec])
def test_rows_share_layout_and_styles_and_are_born_with_their_classes(sent: Counter, spec: type[Spec]) -> None:
    controls = Controls(spec.of())
    rows = len(controls.fields)
    assert sent["TextModel"] + sent["DropdownModel"] + sent["CheckboxModel"] == rows
    assert sent["LayoutModel"] <= 7  # the rows' one, and those of the few boxes and lines around them
    assert sum(count for name, count in sent.items() if name.endswith("StyleModel")) <= 8
    assert sent["_dom_classes"] <= 5
    assert 6 * rows < sum(sent.values()) < 12 * rows + 40


def test_a_closed_panel_leaves_no_widget_behind(make: Make) -> None:
    Hand(make()).panel.close()  # what is made once and kept, as of an imported module
    before = set(ipywidgets_widget._instances)
    hand = Hand(make())
    assert len(ipywidgets_widget._instances) > len(before) + 100
    hand.panel.close()
    assert set(ipywidgets_widget._instances) - before == set()
