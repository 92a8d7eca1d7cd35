import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.spec import Control

SHARE = Control(name="sparsity", grid=True, ge=0, lt=1)
EPSILON = Control(name="epsilon", grid=True, gt=0, words=("clipped", "plain"))
COUNT = Control(name="seeds", kind="int", ge=1, le=1000)


def test_grids_by_hand():
    assert SHARE.parse("0.5, 0.9,0.5") == (0.5, 0.9)
    assert SHARE.parse(0.5) == (0.5,)
    assert SHARE.parse([0, 0.25]) == (0.0, 0.25)
    assert EPSILON.parse("0.5,clipped,plain") == (0.5, "clipped", "plain")


@pytest.mark.parametrize("value", ["1.2", 1, -0.1, "nan", "inf", float("nan"), "", "half", None, True, "0.5,1"])
def test_values_outside_are_refused_with_what_is_allowed(value):
    with pytest.raises(ValueError, match=r"a number in \[0, 1\), or a comma list"):
        SHARE.parse(value)


@pytest.mark.parametrize("value", ["inf", "nan", 0, "-1", "plane"])
def test_an_epsilon_names_its_words(value):
    with pytest.raises(ValueError, match=r"\(0, inf\), or `clipped` or `plain`"):
        EPSILON.parse(value)


@pytest.mark.parametrize(("value", "expected"), [("5", 5), (5.0, 5), ("1e3", 1000), (1, 1)])
def test_whole_numbers(value, expected):
    parsed = COUNT.parse(value)
    assert parsed == expected
    assert isinstance(parsed, int)


@pytest.mark.parametrize("value", ["1.5", 0, 1001, "many", [1]])
def test_what_is_no_whole_number_in_range(value):
    with pytest.raises(ValueError, match=r"whole number in \[1, 1000\]"):
        COUNT.parse(value)


@pytest.mark.parametrize(
    ("value", "expected"), [("false", False), ("True", True), (True, True), ("no", False), (0, False)]
)
def test_booleans_come_as_text_from_papermill(value, expected):
    assert Control(kind="bool").parse(value) is expected


@pytest.mark.parametrize("value", ["maybe", 2, 0.0, None])
def test_other_things_are_no_booleans(value):
    with pytest.raises(ValueError, match="true or false"):
        Control(kind="bool").parse(value)


def test_words_of_a_choice():
    space = Control(kind="str", choices=("nodes", "weights"))
    assert space.parse("nodes") == "nodes"
    with pytest.raises(ValueError, match="one of nodes, weights"):
        space.parse("edges")


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5, unique=True))
def test_a_grid_survives_being_written_and_read(values):
    assert SHARE.parse(",".join(map(repr, values))) == tuple(values)
    assert SHARE.parse(SHARE.parse(values)) == tuple(values)


def test_large_bounds_are_said_in_full():
    assert Control(kind="int", ge=0, lt=2**31).allowed() == "a whole number in [0, 2147483648)"
