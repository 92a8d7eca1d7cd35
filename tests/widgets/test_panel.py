"""The panel driven by the traits that a browser would set: no browser, no kernel, a real store and worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand, until

from labkit.errors import BadInput, LabError
from widgets import LivePanel

Make = Callable[..., LivePanel]


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
    assert hand.says() == "These parameters cannot be used."
    hand.entry("steps").value = "14"
    assert hand.says() == "Ready. Press Run."
    assert "labkit-bad" not in hand.board.status._dom_classes
    assert hand.usable() == {"run"}
    assert hand.runs() == []  # nothing was written


def test_a_slip_of_the_hand_does_not_hide_how_the_last_run_ended(make: Make) -> None:
    hand = Hand(make(seeds=1, steps=5))
    hand.press("run")
    hand.wait_for("Finished")
    finished = hand.says()
    hand.entry("sparsity").value = "1.2"
    hand.entry("sparsity").value = "0.5"
    assert hand.says() == finished


def test_a_refusal_of_a_folded_parameter_unfolds_it(make: Make) -> None:
    panel = make(seeds=1, data="nowhere.npz")
    controls = panel.live.board.controls
    assert controls.fields["data"].widget in controls.more.children[0].children
    assert controls.more.selected_index == 0


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
