"""The controls and the panel of notebook 02: words beside numbers, lists of choices, replicates that run together."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import ipywidgets as W
import pytest
from hand import Hand, until
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.cli import parameters, parser
from labkit.experiments import get
from labkit.experiments.frontier import FrontierSpec
from labkit.runs import Store, Worker
from labkit.runs.events import Point
from widgets import LivePanel, words
from widgets.command_line import command
from widgets.controls import Controls
from widgets.history import identity, past_runs

TINY = {
    "data": "digits", "width": 8, "steps": 6, "batch_size": 20, "seeds": 2, "rates": 3, "tuning_seeds": 1,
    "audit_runs": 0, "landscape_size": 0, "budget": 4, "repeats": 1, "device": "cpu",
}  # fmt: skip
FAST = TINY | {"learning_rate": 0.5, "epsilon": "2,clipped", "sparsity": "0.5", "evaluations": 3}
LATER = 60.0  # seconds: real networks, on a machine that may be busy


@pytest.fixture
def controls() -> Controls:
    return Controls(FrontierSpec.of())


def test_epsilon_is_a_text_of_numbers_and_words_beside_a_slider(controls: Controls) -> None:
    field = controls.fields["epsilon"]
    assert isinstance(field.entry, W.Text)
    assert isinstance(field.slider, W.FloatLogSlider)
    assert field.entry.value == "0.5, 2, 8, clipped, plain"
    assert field.slider.value == 0.5
    assert field.note.value == "5 values, a run each"


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("epsilon", "0.5,clipped", (0.5, "clipped")),
        ("epsilon", " plain , 3 ", ("plain", 3.0)),
        ("epsilon", "plain", ("plain",)),
        ("epsilon", "", (0.5, 2.0, 8.0, "clipped", "plain")),
        ("space", "nodes, weights", ("nodes", "weights")),
        ("space", "weights", ("weights",)),
        ("learning_rate", "shared", "shared"),
        ("learning_rate", "0.25", 0.25),
        ("learning_rate", "", "tuned"),
        ("thin_class", "Shirt", "Shirt"),
        ("thin_class", "T-shirt, top", "T-shirt, top"),
        ("delta", "1e-6", 1e-06),
        ("delta", "0", 0.0),
        ("noise_source", "os", "os"),
    ],
)
def test_what_is_typed_makes_the_spec_and_is_shown_as_it_is_held(
    controls: Controls, name: str, typed: str, value: object
) -> None:
    controls.fields[name].entry.value = typed
    assert controls.error == ""
    assert getattr(controls.spec, name) == value
    again = Controls(FrontierSpec.of())
    again.fields[name].entry.value = controls.fields[name].entry.value
    assert again.spec == controls.spec


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("epsilon", "inf", "or `clipped` or `plain`"),
        ("epsilon", "nan", "or `clipped` or `plain`"),
        ("epsilon", "-1", "a number in (0, 1000]"),
        ("epsilon", "2, private", "or `clipped` or `plain`"),
        ("space", "nodes, edges", "one of nodes, weights, or a comma list of them"),
        ("space", "", "one of nodes, weights"),
        ("learning_rate", "fast", "or `tuned` or `shared`"),
        ("delta", "1", "a number in [0, 1)"),
    ],
)
def test_what_cannot_be_used_is_said_beside_its_control(controls: Controls, name: str, typed: str, said: str) -> None:
    before = controls.spec
    controls.fields[name].entry.value = typed
    assert controls.fields[name].complaint.value == controls.error
    assert controls.error.startswith(f"{name} = ")
    assert said in controls.error
    assert controls.spec == before


def test_the_slider_takes_the_place_of_numbers_and_words(controls: Controls) -> None:
    field = controls.fields["epsilon"]
    field.entry.value = "clipped, 4"
    assert field.slider.value == pytest.approx(4)  # words have no place on it
    field.slider.value = 1.2589
    assert controls.spec.epsilon == (1.3,)
    field.entry.value = "plain"
    assert controls.spec.epsilon == ("plain",)
    assert field.slider.value == pytest.approx(1.3)  # where it was; moved again, it takes over from the word
    field.slider.value = 2.0
    assert controls.spec.epsilon == (2.0,)


def test_a_word_and_a_preset(controls: Controls) -> None:
    controls.fields["learning_rate"].entry.value = "shared"
    controls.fields["preset"].entry.value = "full"
    assert controls.spec == FrontierSpec.of(preset="full", learning_rate="shared")
    assert controls.fields["learning_rate"].note.value == "(full: tuned)"
    assert controls.fields["space"].entry.value == "nodes, weights"


def test_the_command_by_hand() -> None:
    assert command("02", FrontierSpec.of(epsilon="0.5,clipped")) == "labkit run 02 -p epsilon 0.5,clipped"
    spec = FrontierSpec.of(space="weights,nodes", learning_rate="shared", thin_class="a, b", delta=1e-6)
    assert command("02", spec) == (
        "labkit run 02 -p delta 1e-06 -p space weights,nodes -p learning_rate shared -p thin_class 'a, b'"
    )


@settings(max_examples=20, deadline=None)
@given(
    epsilon=st.lists(st.one_of(st.floats(0.01, 1000), st.sampled_from(["clipped", "plain"])), min_size=1, max_size=4),
    space=st.lists(st.sampled_from(["nodes", "weights"]), min_size=1, max_size=2),
    learning_rate=st.one_of(st.sampled_from(["tuned", "shared"]), st.floats(0.01, 100)),
    thin_class=st.sampled_from(["", "Shirt", "T-shirt/top", "a, b"]),
)
def test_command_line_entries_and_history_hold_the_spec_exactly(**given: object) -> None:
    spec = FrontierSpec.of(**given)
    arguments = shlex.split(command("02", spec))[1:]
    assert FrontierSpec.of(**parameters.given(parser().parse_args(arguments))) == spec
    controls = Controls(FrontierSpec.of())
    controls.show(spec)
    entered = {name: field.meant(field.entry.value) for name, field in controls.fields.items()}
    assert FrontierSpec.of(**entered) == spec
    assert identity(FrontierSpec.of(**spec.model_dump(mode="json"))) == identity(spec)


def test_runs_are_found_again_with_their_words(tmp_path: Path) -> None:
    spec = FrontierSpec.of(**FAST | {"epsilon": "plain", "sparsity": "0"}, store=str(tmp_path))
    with Store(tmp_path) as store:
        running = Worker(get("02"), spec, store).run()
        while next(running).key is None:
            pass
        running.close()
        (run,) = past_runs(store, get("02"))
        assert run.spec == spec.changed(store="")
        assert "epsilon plain" in run.row()["parameters"]
        assert words.point(spec) == "epsilon plain, sparsity 0, space nodes"


def test_the_panel_trains_draws_the_gauge_and_gives_its_verdict(make: Callable[..., LivePanel]) -> None:
    panel = make(experiment=get("02"), **FAST | {"epsilon": "8"})
    hand, seen = Hand(panel), []
    gauge = hand.board.gauge
    gauge.words.observe(lambda change: seen.append(change["new"]), "value")
    hand.entry("epsilon").value = "2, clipped"
    assert hand.board.command.text.startswith("labkit run 02 ")
    assert "-p epsilon 2,clipped" in hand.board.command.text
    hand.press("run")
    hand.wait_for("Finished", LATER)
    assert hand.says() == "Finished: 4 of 4 replicates are in the store."
    assert "of 2 spent after 6 of 6 steps" in next(said for said in reversed(seen) if said)
    assert "dense network of epsilon 2" in gauge.words.value
    rows = panel.view.series("curve")
    assert {(row["epsilon"], row["arm"]) for row in rows} == {
        (epsilon, arm) for epsilon in (2.0, "clipped") for arm in ("dense", "random-nodes")
    }
    assert hand.points() == len(rows) == 2 * 2 * 2 * 3  # epsilons, seeds, arms, looks: every row once
    until(lambda: hand.board.verdict.value, "for the verdict, which is drawn after the state", LATER)
    said = hand.board.verdict.value.splitlines()
    assert len(said) == 2
    assert said[0].startswith("epsilon 2, sparsity 0.5, space nodes: ")
    assert "epsilon clipped" in said[1]


def test_a_stopped_batch_goes_on_and_every_row_is_drawn_once(make: Callable[..., LivePanel]) -> None:
    hand = Hand(make(experiment=get("02"), **FAST | {"epsilon": "clipped", "steps": 400, "sparsity": "0"}))
    hand.press("run")
    until(lambda: hand.points() > 0, seconds=LATER)
    hand.press("stop")
    hand.wait_for("Stopped", LATER)
    hand.press("run")
    hand.wait_for("Finished", LATER)
    assert hand.points() == 2 * 3
    assert hand.points() == len(hand.panel.view.series("curve"))


def test_the_points_of_the_gauge_are_whole(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        spec = FrontierSpec.of(**FAST | {"epsilon": "2", "sparsity": "0"})
        events = [update.event for update in Worker(get("02"), spec, store).run()]
    points = [event.values for event in events if isinstance(event, Point) and event.series == "spent"]
    assert [values["step"] for values in points] == [2, 4, 6]
    spent = [values["epsilon_spent"] for values in points]
    assert spent == sorted(spent)
    assert spent[-1] <= 2
