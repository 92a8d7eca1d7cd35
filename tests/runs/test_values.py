from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.runs.values import bounded, nested, plain


def test_numbers_of_numpy_become_pythons():
    values = plain({"a": np.float32(0.5), "b": np.int64(3), "c": True, "d": "text", "e": 1})
    assert values == {"a": 0.5, "b": 3, "c": True, "d": "text", "e": 1}
    assert [type(value) for value in values.values()] == [float, int, bool, str, int]


@pytest.mark.parametrize("bad", [math.nan, math.inf, np.float64("nan"), None, 1j, b"x", [1.0], {"x": 1}, np.ones(1)])
def test_everything_else_is_named_and_refused(bad):
    with pytest.raises(ValueError, match=r"^loss = .* cannot be stored"):
        plain({"fine": 1, "loss": bad})


def test_a_column_name_is_refused():
    with pytest.raises(ValueError, match=r"^seed is a column"):
        plain({"seed": 1}, reserved=("seed",))


def test_a_record_may_nest():
    assert nested("", {"a": [1, None, {"b": (np.float32(2),)}]}) == {"a": [1, None, {"b": [2.0]}]}


def test_a_record_names_the_place():
    with pytest.raises(ValueError, match=r"^a\[2\]\.b\[0\] = nan"):
        nested("", {"a": [1, None, {"b": (math.nan,)}]})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_what_passes_is_json_and_what_is_json_passes(value):
    try:
        expected = json.loads(json.dumps({"x": value}, allow_nan=False))
    except ValueError:
        with pytest.raises(ValueError, match="cannot be stored"):
            nested("", {"x": value})
    else:
        assert nested("", {"x": value}) == expected


def test_a_loss_that_overflowed_is_stored_as_a_large_number():
    losses = (0.5, 1e9, 2e9, float("inf"), float("nan"))
    assert [bounded(loss) for loss in losses] == [0.5, 1e9, 1e9, 1e9, 1e9]
