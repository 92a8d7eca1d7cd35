from __future__ import annotations

import hashlib
import math

import pytest
from fake_experiment import FakeSpec
from hypothesis import given
from hypothesis import strategies as st

from labkit.runs.naming import RunKey, canonical, run_name

POINT = FakeSpec.of(sparsity=0.5)


def name(**changes: object) -> str:
    return run_name("99", 1, POINT.changed(**changes), "data")


def test_a_name_by_hand():
    text = (
        '{"data":"f00d","experiment":"99","spec":{"data":"digits","sparsity":[0.5],"split_seed":0,"steps":20},'
        '"version":1,"weights":""}'
    )
    assert run_name("99", 1, POINT, "f00d") == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "recorded",
    [{"seed": 7}, {"seeds": 9}, {"preset": "full", "steps": 20, "sparsity": 0.5}, {"device": "cpu"}, {"store": "here"}],
)
def test_what_is_only_recorded_does_not_name(recorded):
    assert name(**recorded) == name()


@pytest.mark.parametrize("decisive", [{"sparsity": 0.6}, {"steps": 21}, {"split_seed": 1}, {"data": "fashion_mnist"}])
def test_what_decides_the_numbers_names(decisive):
    assert name(**decisive) != name()


def test_experiment_version_data_and_weights_name_too():
    names = {
        run_name("99", 1, POINT, "data"),
        run_name("98", 1, POINT, "data"),
        run_name("99", 2, POINT, "data"),
        run_name("99", 1, POINT, "other"),
        run_name("99", 1, POINT, "data", "weights"),
    }
    assert len(names) == 5


def test_a_value_typed_in_another_way_is_the_same_run():
    assert name(sparsity="0.50", steps="20.0") == name()


def test_a_grid_has_no_name():
    with pytest.raises(ValueError, match="sparsity holds 2 values"):
        name(sparsity="0.5,0.9")


def test_a_key_as_text():
    assert str(RunKey("99", "abc", 3, "cuda")) == "abc/3-cuda"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_canonical_refuses_what_json_does_not_know(bad):
    with pytest.raises(ValueError, match="JSON"):
        canonical({"x": bad})


@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.booleans()))
def test_canonical_does_not_depend_on_order(values):
    assert canonical(values) == canonical(dict(reversed(values.items())))
