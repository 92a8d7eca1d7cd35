import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from labkit.errors import BadInput
from labkit.spec import Spec, control


class Walk(Spec):
    sparsity: tuple[float, ...] = control("0.5,0.9", "0,0.5,0.9", ge=0, lt=1, help="share removed")
    method: tuple[str, ...] = control("a", "a,b", choices=("a", "b"), help="how")
    steps: int = control(10, 1000, ge=1, help="steps")


def test_missing_fields_and_none_take_the_presets_value():
    assert Walk.of().steps == 10
    assert Walk.of(preset="full").steps == 1000
    assert Walk.of(preset="full", steps=None).steps == 1000
    assert Walk.of(preset="full", steps=7).steps == 7
    assert Walk.of().modified() == {}
    assert Walk.of(preset="full", steps=7).modified() == {"steps": 7}


def test_a_notebooks_names_make_a_spec():
    names = {"steps": 5, "sparsity": None, "preset": "full", "unrelated": object()}
    assert Walk.from_names(names) == Walk.of(preset="full", steps=5)


def test_a_spec_is_frozen():
    with pytest.raises(ValidationError):
        Walk.of().steps = 3


def test_a_changed_spec_is_a_new_one_and_checked():
    spec = Walk.of()
    assert spec.changed(sparsity="0.25").sparsity == (0.25,)
    assert spec.sparsity == (0.5, 0.9)
    with pytest.raises(BadInput, match=r"sparsity = 1.2 .*\[0, 1\)"):
        spec.changed(sparsity=1.2)


def test_a_changed_preset_moves_what_nobody_set():
    spec = Walk.of(steps=7).changed(preset="full")
    assert (spec.steps, spec.sparsity, spec.seeds) == (7, (0.0, 0.5, 0.9), 10)


def test_points_are_the_product_of_the_grids():
    points = Walk.of(sparsity="0.1,0.2", method="b,a").points()
    assert [(p.sparsity, p.method) for p in points] == [
        ((0.1,), ("b",)), ((0.1,), ("a",)), ((0.2,), ("b",)), ((0.2,), ("a",)),
    ]  # fmt: skip


def test_what_names_a_run_is_plain_json_without_seeds_preset_store_and_device():
    hashed = Walk.of(seed=3, seeds=2, device="cpu", store="x").hashed()
    assert hashed == Walk.of().hashed()
    assert json.loads(json.dumps(hashed)) == hashed
    assert set(hashed) == {"split_seed", "data", "sparsity", "method", "steps"}
    assert hashed != Walk.of(split_seed=1).hashed()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"colour": 1}, "colour = 1 .*sparsity"),
        ({"preset": "huge"}, "preset = 'huge' .*quick, full"),
        ({"device": "tpu"}, "device = 'tpu' .*auto, cpu, cuda"),
        ({"seeds": 0}, r"seeds = 0 .*\[1, 1000\]"),
        ({"steps": "many"}, "steps = 'many' .*whole number"),
        ({"split_seed": -1}, "split_seed = -1"),
    ],
)
def test_bad_input_is_one_line_that_names_parameter_value_and_what_is_allowed(given, words):
    with pytest.raises(BadInput, match=words) as caught:
        Walk.of(**given)
    assert "\n" not in str(caught.value)


def test_replicates_are_consecutive_seeds():
    assert list(Walk.of(seed=4, seeds=3).replicate_seeds()) == [4, 5, 6]


def test_importing_labkit_and_its_specs_loads_no_torch():
    rooms = "labkit, labkit.spec, labkit.errors, labkit.runs.events, labkit.experiments"
    code = f"import sys, {rooms}; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
