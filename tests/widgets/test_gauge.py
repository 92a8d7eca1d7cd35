"""The gauge: what it says, when it shows, and how little it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ipywidgets as W
import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand, until

from labkit.runs import Store, Update
from labkit.runs.events import Event, Point, Progress
from widgets import LivePanel
from widgets.board import Board
from widgets.controls import Controls
from widgets.gauge import Gauge, spent
from widgets.live_curve import live_curve
from widgets.loaded import Loaded
from widgets.painter import Painter

VALUES = {
    "step": 75, "steps": 150, "epsilon_spent": 1.2345, "target": 2.0, "delta": 1e-05, "accountant": "PLD",
    "sample_rate": 128 / 7000, "source": "seeded", "plan": "dense network of epsilon 2",
}  # fmt: skip
SAID = (
    "epsilon 1.23 of 2 spent after 75 of 150 steps · dense network of epsilon 2 · delta 1e-05 · "
    "add/remove one training example, training split only · PLD · Poisson sampling at rate 0.018 · "
    "noise seeded: for teaching"
)


def private_run(point: FakeSpec, seed: int, resources: Any) -> Iterator[Event]:
    """The fake experiment, which says after every step of an arm what has been spent."""
    for event in EXPERIMENT.run(point, seed, resources):
        if isinstance(event, Point):
            step = event.values["step"]
            yield Point("spent", VALUES | {"step": step, "steps": point.steps, "epsilon_spent": 2 * step / point.steps})
        yield event


PRIVATE = replace(EXPERIMENT, run=private_run, totals=lambda view: f"{len(view.results())} networks cost nothing")


def shown(widget: W.Widget) -> bool:
    return widget.layout.display != "none"


def test_a_point_in_words() -> None:
    assert spent(VALUES) == SAID
    assert spent(VALUES | {"source": "os"}).endswith(" · noise from the operating system")
    long = VALUES | {"epsilon_spent": 0.0456, "target": 0.5, "step": 1200, "steps": 15_000}
    assert spent(long).startswith("epsilon 0.0456 of 0.5 spent after 1,200 of 15,000 steps")


def test_it_is_hidden_until_there_is_something_to_say() -> None:
    gauge = Gauge()
    assert not any(shown(part) for part in (gauge.bar, gauge.words, gauge.totals))
    gauge.show(VALUES)
    assert shown(gauge.bar)
    assert shown(gauge.words)
    assert gauge.bar.value == pytest.approx(1.2345 / 2)
    assert gauge.words.value == SAID
    gauge.show_totals("one line\nanother")
    assert shown(gauge.totals)
    gauge.clear()
    assert not any(shown(part) for part in (gauge.bar, gauge.words, gauge.totals))


def test_the_bar_never_leaves_its_frame() -> None:
    gauge = Gauge()
    gauge.show(VALUES | {"epsilon_spent": 2.000001})
    assert gauge.bar.value == 1


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[W.Widget]:
    """The widgets that sent the page a message, once for each message."""
    messages: list[W.Widget] = []
    monkeypatch.setattr(W.Widget, "_send", lambda self, *_, **__: messages.append(self))
    return messages


def test_a_thousand_points_cost_two_messages_and_a_repeated_one_none(tmp_path: Path, sent: list[W.Widget]) -> None:
    """A drawing comes at most every 0.15 s, so this bounds what the gauge costs whatever the training says."""
    with Store(tmp_path) as store:
        spec = FakeSpec.of()
        board = Board("?", Controls(spec), live_curve(EXPERIMENT, spec).to_dict(), store.path)
        painter = Painter(board, PRIVATE, store, Loaded())
        board.gauge.show(VALUES | {"step": 1, "epsilon_spent": 0.1})
        points = [Point("spent", VALUES | {"step": 2 + i, "epsilon_spent": 0.1 + 0.001 * i}) for i in range(1000)]
        updates = [Update(event, None, None, 0.5, 1.0, None) for event in points]
        own = {board.gauge.bar, board.gauge.words, board.gauge.totals, board.gauge.widget}
        sent.clear()
        painter.draw(updates, spec)
        assert sorted(type(widget).__name__ for widget in sent if widget in own) == ["FloatProgress", "Label"]
        assert "after 1,001 of" in board.gauge.words.value
        sent.clear()
        painter.draw(updates[-1:], spec)
        painter.draw([Update(Progress(1, 2, "walking"), None, None, 0.5, 1.0, None)], spec)
        assert [widget for widget in sent if widget in own] == []
        board.close()


def test_it_moves_while_it_trains_and_the_totals_follow(make: Callable[..., LivePanel]) -> None:
    hand = Hand(make(experiment=PRIVATE, steps=60, seeds=1, delay=0.005))
    gauge, seen = hand.board.gauge, []
    gauge.bar.observe(lambda change: seen.append(change["new"]), "value")
    assert not shown(gauge.widget.children[0])
    hand.press("run")
    until(lambda: shown(gauge.bar))
    assert not shown(gauge.totals)
    hand.wait_for("Finished")
    assert len(set(seen)) > 3
    assert gauge.words.value.startswith("epsilon 2 of 2 spent after 60 of 60 steps")
    assert gauge.totals.value == "2 networks cost nothing"
    assert shown(gauge.totals)


def test_another_run_begins_with_an_empty_gauge(make: Callable[..., LivePanel]) -> None:
    hand = Hand(make(experiment=PRIVATE, steps=20, seeds=1))
    hand.press("run")
    hand.wait_for("Finished")
    hand.entry("delay").value = "0.05"
    hand.entry("sparsity").value = "0.25"
    hand.press("run")
    assert hand.board.gauge.totals.value == ""
    assert not shown(hand.board.gauge.totals)
    hand.press("stop")
    hand.wait_for("Stopped")
    assert hand.board.gauge.totals.value == ""
    hand.board.runs.chosen = hand.board.runs.rows[-1]["key"]  # the first run again: its totals, but nothing that moves
    assert hand.board.gauge.totals.value == "2 networks cost nothing"
    assert not shown(hand.board.gauge.bar)


def test_an_experiment_without_privacy_has_no_gauge(make: Callable[..., LivePanel]) -> None:
    hand = Hand(make(seeds=1))
    hand.press("run")
    hand.wait_for("Finished")
    gauge = hand.board.gauge
    assert not any(shown(part) for part in (gauge.bar, gauge.words, gauge.totals))


def test_headless_totals_follow_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABKIT_LIVE", "0")
    panel = LivePanel(FakeSpec.of(store=str(tmp_path), seeds=1, steps=3), experiment=PRIVATE)
    monkeypatch.setattr("widgets.panel.display", lambda _: None)
    capsys.readouterr()
    panel._ipython_display_()
    assert capsys.readouterr().out == "undecided: 2 results of a fake experiment\n2 networks cost nothing\n"
    panel.close()
