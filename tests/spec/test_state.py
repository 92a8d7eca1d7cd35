"""One line restores every parameter: written, read back, and refused in words that name the field."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import experiments
from labkit.errors import BadInput
from labkit.spec import Control, Spec, from_state, state_text

TOUR = experiments.get("00").spec
FINETUNE = experiments.get("05").spec
PRINTED = st.text(st.characters(exclude_categories=["C"]), max_size=20)
AWKWARD = st.one_of(PRINTED, st.text(), st.sampled_from(["", " ", '"', "a b", "=", "x=1 y=2", "{document}\nquery:"]))


def test_by_hand() -> None:
    assert state_text("00", TOUR.of()) == "00"
    spec = FINETUNE.of(method="random, sparta", sparsity=0.95, seed=3, device="cpu", store="/somewhere")
    line = "05 seed=3 method=random,sparta sparsity=0.95"
    assert state_text("05", spec) == line
    assert from_state(line, "05", FINETUNE) == FINETUNE.of(method="random,sparta", sparsity=0.95, seed=3)
    full = TOUR.of(preset="full", data="my pictures.npz", epsilon="0.1,clipped", seeds=5)
    assert state_text("00", full) == '00 preset=full seeds=5 data="my pictures.npz" epsilon=0.1,clipped'
    assert from_state(state_text("00", full), "00", TOUR) == full


def test_order_and_spaces_are_free() -> None:
    assert from_state("  00\n sparsity=0.9   seed=4 ", "00", TOUR) == TOUR.of(seed=4, sparsity=0.9)


def numbers(item: Control) -> st.SearchStrategy:
    low = item.ge if item.gt is None else item.gt
    high = item.le if item.lt is None else item.lt
    if item.kind == "int":
        return st.integers(int(low), int(high) - (item.lt is not None))
    return st.floats(
        low, high, exclude_min=item.gt is not None, exclude_max=item.lt is not None, allow_nan=False
    ).filter(math.isfinite)


def values(item: Control) -> st.SearchStrategy:
    """Anything that this parameter takes."""
    if item.choices:
        one = st.sampled_from(item.choices)
    elif item.kind == "bool":
        one = st.booleans()
    elif item.kind == "str":
        one = AWKWARD
    else:
        one = st.one_of(numbers(item), *([st.sampled_from(item.words)] if item.words else []))
    return st.lists(one, min_size=1, max_size=4) if item.grid else one


@pytest.mark.parametrize("number", experiments.names())
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_line_restores_every_parameter_of_every_experiment(number: str, data: st.DataObject) -> None:
    kind: type[Spec] = experiments.get(number).spec
    items = kind.controls()
    names = data.draw(st.sets(st.sampled_from([name for name in items if name not in ("device", "store")])))
    spec = kind.of(**{name: data.draw(values(items[name]), label=name) for name in names})
    line = state_text(number, spec)
    assert len(line.splitlines()) == 1
    assert from_state(line, number, kind) == spec
    assert state_text(number, from_state(line, number, kind)) == line


@pytest.mark.parametrize(
    ("line", "field", "words"),
    [
        ("", "state", "begins with 00"),
        ("seed=3", "state", "begins with 00"),
        ("x=00 seed=3", "state", "begins with 00"),
        ("05 method=random", "state", "begins with 00"),
        ("00 seed", "state", "NAME=VALUE"),
        ("00 sparsity=0.5, 0.9", "state", "NAME=VALUE"),
        ("00 sparsity=1.5", "sparsity", r"\[0, 1\)"),
        ("00 epsilon=small", "epsilon", "`clipped`"),
        ("00 preset=huge", "preset", "quick, full"),
        ("00 seed=", "seed", "a value"),
        ('00 data="my file', "data", "double quotes"),
        ('00 data="my\\qfile"', "data", "double quotes"),
        ("00 colour=red", "colour", "the parameters"),
        ("00 seed=3 seed=4", "seed", "'3' was given too"),
        ("00 device=cpu", "device", "the machine"),
        ("00 store=/tmp", "store", "the machine"),
    ],
)
def test_bad_text_is_one_line_that_names_the_field(line: str, field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        from_state(line, "00", TOUR)
    assert caught.value.parameter == field
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(line=st.one_of(st.text(), st.from_regex(r'00( \w{1,8}=("[^ ]{0,6}"?|[^ ]{0,6})){0,3}', fullmatch=True)))
def test_any_text_is_a_spec_or_bad_input(line: str) -> None:
    try:
        spec = from_state(line, "00", TOUR)
    except BadInput:
        return
    assert from_state(state_text("00", spec), "00", TOUR) == spec
