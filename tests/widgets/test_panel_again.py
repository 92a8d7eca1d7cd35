"""Panels that meet runs begun before: resumed, opened, followed, taken over, pressed by many threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand, until

from labkit.errors import StoreError
from labkit.runs import Store, Worker
from widgets import LivePanel
from widgets.session import active

Make = Callable[..., LivePanel]


def test_a_resumed_run_ends_in_the_same_numbers(make: Make, tmp_path: Path) -> None:
    hand = Hand(make(steps=40, seeds=1, delay=0.005))
    hand.press("run")
    until(lambda: hand.points() > 3)
    hand.press("stop")
    hand.wait_for("Stopped")
    hand.press("run")
    hand.wait_for("Finished")
    with Store(tmp_path / "whole") as store:
        for _ in Worker(EXPERIMENT, FakeSpec.of(steps=40, seeds=1), store).run():
            pass
        whole = store.results()
    resumed = hand.panel.run.results()
    assert [row["sum"] for row in resumed] == [row["sum"] for row in whole]


def test_an_earlier_run_opens_with_its_exact_parameters(make: Make) -> None:
    hand = Hand(make(seeds=1))
    for typed in ("0.123456789", "0.5, 0.9"):
        hand.entry("sparsity").value = typed
        hand.press("run")
        hand.wait_for("Finished")
    assert [row["parameters"] for row in hand.board.runs.rows] == [
        "quick; seeds 1; sparsity 0.5, 0.9",
        "quick; seeds 1; sparsity 0.123456789",
    ]
    hand.board.runs.chosen = hand.board.runs.rows[1]["key"]
    assert hand.entry("sparsity").value == "0.123456789"
    assert hand.board.runs.chosen == ""
    assert hand.board.runs.shown == hand.board.runs.rows[1]["key"]
    assert hand.points() == 2 * 20
    assert {row["sparsity"] for row in hand.panel.run.results()} == {0.123456789}


def test_a_row_that_could_not_be_opened_can_be_pressed_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page tells only of a change, so its trait must not be left at the row's key."""
    hand = Hand(make(seeds=1))
    hand.press("run")
    hand.wait_for("Finished")
    hand.entry("sparsity").value = "0.25"
    key = hand.board.runs.rows[0]["key"]
    with monkeypatch.context() as patch:

        def locked(*_: object) -> None:
            raise StoreError("the store is locked")

        patch.setattr("widgets.live.past_runs", locked)
        with pytest.raises(StoreError):
            hand.board.runs.chosen = key
    assert hand.board.runs.chosen == ""
    hand.board.runs.chosen = key
    assert hand.entry("sparsity").value == "0.5"


def test_a_finished_run_is_there_without_pressing_anything(make: Make) -> None:
    first = Hand(make())
    first.press("run")
    first.wait_for("Finished")
    again = Hand(make())
    assert again.says() == "Finished: 5 of 5 replicates are in the store."
    assert again.points() == first.points() == 5 * 2 * 20
    assert len(again.panel.run.results()) == 10


def test_run_on_what_is_finished_trains_nothing(make: Make) -> None:
    hand = Hand(make())
    for _ in range(2):
        hand.press("run")
        hand.wait_for("Finished")
    assert hand.points() == 5 * 2 * 20


def test_a_cell_run_again_follows_the_training_that_goes_on(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widgets.panel._cell", lambda: "a cell")
    first = Hand(make(steps=100, seeds=1, delay=0.01))
    first.press("run")
    until(lambda: first.points() > 3)
    again = Hand(make(steps=100, seeds=1, delay=0.01))
    assert len(active()) == 1
    until(lambda: "walking" in again.says())
    until(lambda: first.usable() == set(), "for the old panel to rest")
    assert "new panel" in first.says()
    again.press("stop")
    again.wait_for("Stopped")


def test_a_cell_run_again_with_other_parameters_stops_the_training(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("widgets.panel._cell", lambda: "a cell")
    Hand(make(steps=100, seeds=1, delay=0.01)).press("run")
    again = Hand(make(steps=99, seeds=1, delay=0.01))
    until(lambda: active() == [])
    assert again.says() == "Ready. Press Run."


def test_two_panels_never_train_one_spec_twice(make: Make) -> None:
    one, other = Hand(make(steps=60, seeds=1, delay=0.01)), Hand(make(steps=60, seeds=1, delay=0.01))
    one.press("run")
    other.press("run")
    other.board.buttons["run"].click()  # pressed twice
    assert len(active()) == 1
    one.press("pause")
    other.wait_for("Paused")
    other.press("stop")
    one.wait_for("Stopped")
    other.wait_for("Stopped")


def test_buttons_pressed_from_many_threads_at_once(make: Make) -> None:
    """Kernel subshells call handlers concurrently."""
    hand = Hand(make(steps=200, seeds=1, delay=0.005))
    together = threading.Barrier(8)

    def press(name: str) -> None:
        together.wait()
        hand.board.buttons[name].click()

    for names in (["run"] * 8, ["pause", "resume"] * 4, ["stop", "pause", "resume", "run"] * 2):
        threads = [threading.Thread(target=press, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(active()) == 1
    hand.wait_for("Stopped")


def test_a_panel_is_drawn_seldom_however_many_events_come(make: Make) -> None:
    hand = Hand(make(steps=2000, seeds=1))
    drawn: list[float] = []
    hand.board.bar.observe(lambda _: drawn.append(time.monotonic()), "value")
    hand.press("run")
    hand.wait_for("Finished")
    assert hand.points() == 2 * 2000
    assert len(drawn) <= 2 + (drawn[-1] - drawn[0]) / 0.1


def test_a_store_that_refuses_for_a_moment_does_not_end_the_drawing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = Hand(make(steps=50, seeds=1, delay=0.005, experiment=replace(EXPERIMENT, question="?")))
    asked = hand.panel.store.points_since
    refusals = iter([True] * 2)

    def refuse_twice(*given: Any, **named: Any) -> Any:
        if next(refusals, False):
            raise StoreError("the store is locked")
        return asked(*given, **named)

    monkeypatch.setattr(hand.panel.store, "points_since", refuse_twice)
    hand.press("run")
    hand.wait_for("the store is locked")
    hand.wait_for("Finished")
    assert hand.points() == 2 * 50
