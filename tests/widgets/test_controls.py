"""Controls set as a browser would set them: by the traits of their widgets."""

from __future__ import annotations

import threading

import ipywidgets as W
import pytest
from fake_experiment import FakeSpec

from labkit.spec import Spec, control
from widgets.controls import Controls, build


class ManySpec(FakeSpec):
    space: str = control("nodes", help="what is removed", choices=("nodes", "weights"))
    rescale: bool = control(False, help="larger initial weights")
    method: tuple[str, ...] = control("random", help="how", choices=("random", "magnitude"))


@pytest.fixture
def controls() -> Controls:
    return build(ManySpec.of())


def test_the_resolved_spec_is_shown(controls: Controls) -> None:
    shown = {name: field.entry.value for name, field in controls.fields.items()}
    assert shown["sparsity"] == "0.5"
    assert shown["steps"] == "20"
    assert shown["preset"] == "quick"
    assert shown["rescale"] is False
    assert controls.spec == ManySpec.of()


def test_kinds_of_widgets(controls: Controls) -> None:
    kinds = {name: type(field.entry) for name, field in controls.fields.items()}
    assert kinds["space"] is kinds["preset"] is W.Dropdown
    assert kinds["rescale"] is W.Checkbox
    assert kinds["method"] is kinds["sparsity"] is kinds["data"] is W.Text
    assert [name for name, field in controls.fields.items() if field.slider] == ["sparsity", "steps", "seeds"]


def test_a_slider_makes_a_new_spec(controls: Controls) -> None:
    seen = []
    controls.observe(lambda change: seen.append(change["new"]), "spec")
    before = controls.spec
    controls.fields["sparsity"].slider.value = 0.7
    assert controls.fields["sparsity"].entry.value == "0.7"
    assert seen == [before.changed(sparsity=0.7)]
    assert before.sparsity == (0.5,)  # the old one has not moved


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("sparsity", "0.5,.9", (0.5, 0.9)),
        ("sparsity", "0.9123", (0.9123,)),
        ("steps", "61", 61),
        ("data", "digits", "digits"),
        ("method", "magnitude, random", ("magnitude", "random")),
        ("space", "weights", "weights"),
        ("rescale", True, True),
        ("steps", "", 20),  # an empty number is the preset's
    ],
)
def test_what_is_typed_is_kept_exactly(controls: Controls, name: str, typed: object, value: object) -> None:
    controls.fields[name].entry.value = typed
    assert getattr(controls.spec, name) == value
    assert controls.error == ""


def test_a_slider_follows_the_entry_without_answering(controls: Controls) -> None:
    """The slider's stops are coarser than what may be typed; it must not round the entry."""
    field = controls.fields["sparsity"]
    field.entry.value = "0.9123"
    assert field.slider.value == pytest.approx(0.9123)
    assert field.entry.value == "0.9123"


def test_a_slider_takes_the_place_of_several_values(controls: Controls) -> None:
    field = controls.fields["sparsity"]
    field.entry.value = "0.5, 0.9"
    assert field.slider.value == 0.5
    assert field.note.value == "2 values, a run each (quick: 0.5)"
    field.slider.value = 0.7
    assert controls.spec.sparsity == (0.7,)
    assert field.note.value == "(quick: 0.5)"


def test_bad_input_is_one_line_beside_its_control(controls: Controls) -> None:
    good = controls.spec
    controls.fields["sparsity"].entry.value = "1.2"
    line = "sparsity = '1.2' is not usable; allowed: a number in [0, 1), or a comma list of them"
    assert controls.fields["sparsity"].complaint.value == controls.error == line
    assert controls.spec == good
    controls.fields["steps"].entry.value = "40"  # another edit does not hide what is still wrong
    assert controls.error == line
    controls.fields["sparsity"].entry.value = "0.2"
    assert controls.error == controls.fields["sparsity"].complaint.value == ""
    assert controls.spec == good.changed(sparsity=0.2, steps=40)


def test_the_folded_rows_open_where_one_of_them_is_to_blame(controls: Controls) -> None:
    controls.fields["sparsity"].entry.value = "1.2"  # stands in front
    assert controls.more.selected_index is None
    controls.fields["sparsity"].entry.value = "0.2"
    controls.fields["delay"].entry.value = "2"
    assert controls.fields["delay"].complaint.value
    assert controls.more.selected_index == 0
    controls.fields["delay"].entry.value = "1"
    assert controls.more.selected_index == 0  # whoever typed there looks there


def test_a_preset_moves_what_was_not_touched(controls: Controls) -> None:
    controls.fields["steps"].entry.value = "33"
    controls.fields["preset"].entry.value = "full"
    assert controls.spec == ManySpec.of(preset="full", steps=33)
    assert controls.fields["sparsity"].entry.value == "0.5, 0.9"
    assert controls.fields["seeds"].entry.value == "10"


def test_what_differs_from_the_preset_is_marked(controls: Controls) -> None:
    field = controls.fields["steps"]
    assert field.note.value == "steps"  # the unit
    field.entry.value = "40"
    assert field.note.value == "steps (quick: 20)"


def test_hidden_fields_keep_their_value() -> None:
    controls = build(FakeSpec.of(store="/somewhere"), hidden=("store",))
    controls.fields["steps"].entry.value = "40"
    assert controls.spec == FakeSpec.of(store="/somewhere", steps=40)


def test_an_unshown_parameter_is_blamed_below_all_rows() -> None:
    class Crossed(Spec):
        width: int = control(8, help="width", ge=1)

        def changed(self, **changes: object) -> Spec:
            from labkit.errors import BadInput

            raise BadInput("spec", "together", "something else")

    controls = build(Crossed.of())
    controls.fields["width"].entry.value = "9"
    assert "something else" in controls.error
    assert controls.widget.children[-1].value == controls.error


def test_edits_from_many_threads_end_in_what_is_shown() -> None:
    """With kernel subshells callbacks come on several threads at once."""
    typed = {"sparsity": "0.25", "steps": "7", "seeds": "3", "delay": "0.5"}
    for _ in range(20):
        controls = build(FakeSpec.of())
        together = threading.Barrier(len(typed))

        def edit(name: str, controls: Controls = controls, together: threading.Barrier = together) -> None:
            together.wait()
            controls.fields[name].entry.value = typed[name]

        threads = [threading.Thread(target=edit, args=(name,)) for name in typed]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert controls.spec == FakeSpec.of(**typed)
        assert {name: controls.fields[name].entry.value for name in typed} == typed
