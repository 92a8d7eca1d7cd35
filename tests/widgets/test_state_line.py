"""A panel's state as one line: copied, put into another panel, given in a cell; and controls that a lesson hides."""

from __future__ import annotations

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hand import Hand

from labkit.errors import BadInput
from widgets import LivePanel
from widgets.controls import build

LINE = "99 seed=4 seeds=1 sparsity=0.25,0.75 steps=7"


def test_the_line_follows_the_controls(make):
    hand = Hand(make(device="cpu"))
    assert (hand.board.state.line.text, hand.board.state.line.label) == ("99", "Copy state")
    hand.entry("steps").value = "7"
    hand.entry("seed").value = "4"
    assert hand.board.state.line.text == "99 seed=4 steps=7"
    hand.entry("steps").value = "none"  # not usable: the line is that of the last usable parameters
    assert hand.board.state.line.text == "99 seed=4 steps=7"


def test_a_pasted_line_restores_every_control_of_another_panel(make):
    given, taken = Hand(make(sparsity="0.25,0.75", steps=7, seed=4, seeds=1)), Hand(make(device="cpu", delay=0.5))
    store = taken.board.controls.spec.store
    assert given.board.state.line.text == LINE
    taken.board.state.entry.value = given.board.state.line.text
    assert taken.board.controls.spec == FakeSpec.of(
        sparsity="0.25,0.75", steps=7, seed=4, seeds=1, device="cpu", store=store
    )
    assert taken.entry("steps").value == "7"
    assert taken.entry("delay").value == "0"  # what the line leaves out is the preset's
    assert taken.board.state.line.text == LINE
    assert taken.board.state.entry.value == taken.board.state.complaint.value == ""
    taken.press("run")
    taken.wait_for("Finished: 2 of 2")
    assert taken.panel.run.spec.steps == 7


def test_a_line_that_is_none_changes_nothing_and_says_why(make):
    hand = Hand(make(steps=7))
    hand.board.state.entry.value = "99 steps=0"
    assert hand.board.state.complaint.value.startswith("steps = '0' is not usable; allowed: a whole number")
    assert hand.board.controls.spec.steps == 7
    assert hand.board.state.entry.value == "99 steps=0"  # to be mended where it stands
    hand.board.state.entry.value = "05 method=random"
    assert "begins with 99" in hand.board.state.complaint.value
    hand.board.state.entry.value = "99 steps=9"
    assert hand.board.state.complaint.value == ""
    assert hand.board.controls.spec.steps == 9


def test_nothing_is_restored_while_a_training_runs(make):
    hand = Hand(make(delay=0.05, steps=200))
    hand.press("run")
    hand.wait_for("walking")
    assert hand.board.state.entry.disabled
    hand.board.state.entry.value = "99 steps=9"  # from a page that was late
    assert hand.board.controls.spec.steps == 200
    hand.press("stop")
    hand.wait_for("Stopped")
    assert not hand.board.state.entry.disabled


def test_a_state_in_the_cell(make, tmp_path):
    spec = FakeSpec.of(store=str(tmp_path / "store"), device="cpu", steps=11)
    panel = LivePanel(spec, experiment=EXPERIMENT, state=LINE)
    try:
        restored = FakeSpec.of(sparsity="0.25,0.75", steps=7, seed=4, seeds=1, device="cpu", store=spec.store)
        assert panel.spec == panel.live.board.controls.spec == restored
    finally:
        panel.close()
    with pytest.raises(BadInput, match="begins with 99"):
        LivePanel(spec, experiment=EXPERIMENT, state="00")


def test_headless_trains_the_state(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_LIVE", "0")
    panel = LivePanel(
        FakeSpec.of(store=str(tmp_path / "store")), experiment=EXPERIMENT, state="99 seeds=1 steps=3", hide=("seeds",)
    )
    assert (panel.run.spec.seeds, panel.run.spec.steps) == (1, 3)
    panel.close()


@pytest.mark.parametrize("hide", [("steps", "sparsity"), "steps, sparsity", ["sparsity", "steps", "steps"]])
def test_hidden_parameters_stay_in_force_and_are_said(make, tmp_path, hide):
    spec = FakeSpec.of(store=str(tmp_path / "store"), sparsity="0.5,0.75", steps=3, seeds=1)
    panel = LivePanel(spec, experiment=EXPERIMENT, hide=hide)
    try:
        hand = Hand(panel)
        assert not {"steps", "sparsity", "store"} & hand.board.controls.fields.keys()
        assert hand.board.controls.said.value == "Fixed for this lesson: sparsity 0.5, 0.75; steps 3."
        assert hand.board.controls.said in hand.board.controls.widget.children
        hand.entry("seed").value = "2"
        hand.press("run")
        hand.wait_for("Finished: 2 of 2")
        assert (panel.run.spec.steps, panel.run.spec.seed) == (3, 2)
    finally:
        panel.close()


def test_nothing_is_said_where_nothing_is_hidden(make):
    assert Hand(make()).board.controls.said.value == ""


def test_another_preset_does_not_move_what_is_fixed():
    controls = build(FakeSpec.of(data="my file"), fixed=("sparsity", "data"))
    controls.fields["preset"].entry.value = "full"
    assert controls.spec == FakeSpec.of(preset="full", sparsity="0.5", data="my file")
    assert controls.said.value == "Fixed for this lesson: data my file; sparsity 0.5." or (
        controls.said.value == "Fixed for this lesson: sparsity 0.5; data my file."
    )
    controls.show(FakeSpec.of(sparsity=0.9, data=""))
    assert controls.said.value == "Fixed for this lesson: sparsity 0.9; data empty."


def test_only_parameters_can_be_hidden(tmp_path):
    with pytest.raises(BadInput, match=r"hide = 'epsilon' .*sparsity"):
        LivePanel(FakeSpec.of(store=str(tmp_path)), experiment=EXPERIMENT, hide=("epsilon",))
