"""The panel driven by the traits that a browser would set: no browser, no kernel, a real store and worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_experiment import EXPERIMENT, FakeSpec

from labkit.errors import BadInput, LabError
from labkit.experiments import base
from labkit.runs import Store, Worker
from widgets import LivePanel
from widgets.session import active

SOON = 10.0
Make = Callable[..., LivePanel]


def until(condition: Callable[[], object], what: str = "") -> None:
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(0.005)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Make]:
    """Makes live panels on one store; at the end nothing may go on, and no callback may have raised."""
    monkeypatch.setenv("LABKIT_LIVE", "1")
    made: list[LivePanel] = []

    def panel(experiment: base.Experiment = EXPERIMENT, **given: Any) -> LivePanel:
        made.append(LivePanel(FakeSpec.of(store=str(tmp_path / "store"), **given), experiment=experiment))
        return made[-1]

    with caplog.at_level(logging.WARNING):
        yield panel
    for one in made:
        one.close()
    assert active() == []
    assert [thread.name for thread in threading.enumerate() if "labkit" in thread.name] == []
    assert [record.getMessage() for record in caplog.records] == []


class Hand:
    """What a hand does and an eye sees."""

    def __init__(self, panel: LivePanel) -> None:
        self.panel, self.board = panel, panel.live.board

    def press(self, name: str) -> None:
        button = self.board.buttons[name]
        assert not button.disabled, f"{name} cannot be pressed: {self.says()}"
        button.click()

    def says(self) -> str:
        return self.board.status.value

    def usable(self) -> set[str]:
        return {name for name, button in self.board.buttons.items() if not button.disabled}

    def entry(self, name: str) -> Any:
        return self.board.controls.fields[name].entry

    def slider(self, name: str) -> Any:
        return self.board.controls.fields[name].slider

    def points(self) -> int:
        return len(self.board.chart.rows)

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.says(), f"for {text!r}; it says {self.says()!r}")

    def runs(self) -> list[tuple[str, str]]:
        return [(row["state"], row["parameters"]) for row in self.board.runs.rows]


def test_run_trains_to_the_end(make: Make) -> None:
    hand = Hand(make(steps=30, seeds=2))
    assert hand.says() == "Ready. Press Run."
    assert hand.usable() == {"run"}
    hand.press("run")
    hand.wait_for("Finished: 2 of 2 replicates")
    assert hand.points() == 2 * 2 * 30  # seeds, arms, steps: every row once
    assert hand.board.bar.value == 1
    assert hand.board.verdict.value == "undecided: 4 results of a fake experiment"
    assert hand.runs() == [("finished", "quick; seeds 2; steps 30")]
    assert hand.usable() == {"run"}


def test_it_returns_at_once_and_says_what_to_press(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    panel = make()
    with pytest.raises(LabError, match="press Run, then run this cell"):
        _ = panel.run
    panel.claims()
    assert capsys.readouterr().out == "press Run, then run this cell\n"
    hand = Hand(panel)
    hand.press("run")
    hand.wait_for("Finished")
    assert len(panel.run.results()) == 10
    panel.claims()
    assert capsys.readouterr().out.startswith("holds: accuracy stays below one")


def test_the_slider_decides_what_is_run(make: Make) -> None:
    hand = Hand(make(seeds=1))
    hand.slider("sparsity").value = 0.7
    assert hand.board.command.text.startswith("labkit run 99 -p seeds 1 -p sparsity 0.7")
    hand.press("run")
    hand.wait_for("Finished")
    assert {row["sparsity"] for row in hand.panel.run.results()} == {0.7}


def test_pause_keeps_the_place_and_resume_goes_on(make: Make) -> None:
    hand = Hand(make(steps=100, seeds=1, delay=0.01))
    hand.press("run")
    until(lambda: hand.points() > 3)
    hand.press("pause")
    hand.wait_for("Paused")
    assert hand.usable() == {"resume", "stop"}
    time.sleep(0.4)  # what was on its way has been drawn
    seen = hand.points()
    time.sleep(0.4)
    assert hand.points() == seen
    hand.press("resume")
    until(lambda: hand.points() > seen)
    hand.press("stop")
    hand.wait_for("Stopped")


def test_stop_is_said_at_once_and_can_be_resumed(make: Make) -> None:
    hand = Hand(make(steps=40, seeds=2, delay=0.01))
    hand.press("run")
    until(lambda: hand.points() > 3)
    started = time.monotonic()
    hand.press("stop")
    assert "Stopping" in hand.says()
    assert hand.usable() == set()
    assert time.monotonic() - started < 0.5
    hand.wait_for("Stopped: 0 of 2 replicates are in the store. Run goes on from there.")
    assert hand.runs() == [("stopped", "quick; seeds 2; steps 40; delay 0.01")]
    hand.press("run")
    hand.wait_for("Finished")
    assert hand.points() == 2 * 2 * 40  # what was said before the stop is drawn once


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


def test_controls_rest_while_something_trains(make: Make) -> None:
    hand = Hand(make(steps=50, delay=0.01))
    hand.press("run")
    assert hand.entry("steps").disabled
    assert hand.slider("sparsity").disabled
    assert hand.board.runs.locked
    hand.press("stop")
    hand.wait_for("Stopped")
    assert not hand.entry("steps").disabled


def test_bad_input_turns_run_off(make: Make) -> None:
    hand = Hand(make())
    hand.entry("sparsity").value = "1.2"
    assert hand.usable() == set()
    assert hand.board.controls.fields["sparsity"].complaint.value.startswith("sparsity = '1.2' is not usable")
    hand.entry("sparsity").value = "0.2"
    assert hand.usable() == {"run"}


def test_what_no_bound_can_say_is_told_when_run_is_pressed(make: Make) -> None:
    hand = Hand(make(steps=13))
    hand.press("run")
    hand.wait_for("cannot be used")
    assert hand.board.controls.fields["steps"].complaint.value == (
        "steps = 13 is not usable; allowed: any number but 13, which no bound can say"
    )
    assert hand.usable() == set()
    hand.entry("steps").value = "14"
    assert hand.usable() == {"run"}
    assert hand.runs() == []  # nothing was written


def test_data_that_cannot_be_read_are_told_at_once(make: Make) -> None:
    panel = make(data="nowhere.npz")
    assert "nowhere.npz" in panel.live.board.controls.fields["data"].complaint.value
    with pytest.raises(LabError, match="the panel says why"):
        _ = panel.view


def test_a_failed_run_is_one_line(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    hand = Hand(make(fail_at=5, seeds=1))
    hand.press("run")
    hand.wait_for("Failed: RuntimeError: the fake experiment was asked to break at step 5")
    assert hand.usable() == {"run"}
    assert hand.runs() == [("failed", "quick; seeds 1; fail at 5")]
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


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


def test_a_figure_is_drawn_when_the_run_ends(make: Make) -> None:
    panel = make(seeds=1)
    image = panel.figure("curve")
    empty = image.value
    assert bytes(empty).startswith(b"\x89PNG")
    hand = Hand(panel)
    hand.press("run")
    hand.wait_for("Finished")
    until(lambda: image.value != empty)
    assert panel.figure("curve") is image


def test_drawing_figures_gives_way_to_a_training(make: Make) -> None:
    drawn: list[str] = []
    charts = {name: lambda view, name=name: drawn.append(name) or EXPERIMENT.charts["curve"](view) for name in "abc"}
    panel = make(experiment=replace(EXPERIMENT, charts=charts))
    for name in charts:
        panel.figure(name)
    painter = panel.live._painter
    charts["a"] = lambda view: painter.begin() or EXPERIMENT.charts["curve"](view)
    drawn.clear()
    painter.draw_figures()
    assert drawn == []  # b and c are left to the end of what began while a was drawn
    charts["a"] = EXPERIMENT.charts["curve"]
    painter.draw_figures()
    assert drawn == ["b", "c"]


def test_the_store_is_named_in_full(make: Make, tmp_path: Path) -> None:
    words = [getattr(child, "value", "") for child in Hand(make()).board.widget.children]
    assert f"Results are kept in {tmp_path / 'store'}" in words


def test_the_experiment_is_found_by_the_spec() -> None:
    with pytest.raises(BadInput, match="FakeSpec"):
        LivePanel(FakeSpec.of())


def test_a_store_that_refuses_for_a_moment_does_not_end_the_drawing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit.errors import StoreError

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
