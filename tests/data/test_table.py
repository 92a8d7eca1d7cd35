from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.table import Table, check_ids, make_table, private_vocabulary, rows_of
from labkit.data.tables import load_table
from labkit.errors import BadInput

IDS = np.array([[0, 2], [1, 0], [1, 1]])
LABELS = np.array([0, 1, 1])


def small(**changed) -> Table:
    wanted = {"licence": "none", "public": True, "vocabulary": "declared"} | changed
    return make_table(
        "small",
        wanted.pop("columns", ("a", "b")),
        wanted.pop("ids", IDS),
        wanted.pop("sizes", (2, 3)),
        wanted.pop("labels", LABELS),
        **wanted,
    )


def test_by_hand_three_rows():
    table = small(months=np.array([1, 1, 2]))
    assert len(table) == 3
    assert rows_of(table) == 5
    assert table.ids.dtype == table.labels.dtype == table.months.dtype == np.int64
    assert table.persons is None
    assert not private_vocabulary(table)
    assert private_vocabulary(small(vocabulary=""))
    check_ids(table)


def test_rows_of_wide_hashes_do_not_overflow():
    assert rows_of(replace(small(), sizes=(2**60,) * 39)) == 39 * 2**60


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        ([[0, 0], [0, 3]], "ids 0 to 2 in column b; row 1 has 3"),
        ([[0, 0], [-1, 0]], "ids 0 to 1 in column a; row 1 has -1"),
        ([[2, 5]], "ids 0 to 1 in column a; row 0 has 2"),
        ([[0], [1]], "one id for each of 2 columns; rows have 1"),
    ],
)
def test_an_id_outside_its_vocabulary_is_named(ids, line):
    with pytest.raises(BadInput, match=line) as caught:
        check_ids(replace(small(), ids=np.array(ids)))
    assert "\n" not in str(caught.value)


def test_bags_may_have_empty_places_but_no_empty_row():
    bag = small(columns=("word",), ids=np.array([[0, -1, 4], [3, 3, -1]]), sizes=(5,), labels=LABELS[:2], bag=True)
    check_ids(bag)
    with pytest.raises(BadInput, match="a word in every row of column word; row 1 has none"):
        check_ids(replace(bag, ids=np.array([[0, -1, 4], [-1, -1, -1]])))
    with pytest.raises(BadInput, match="ids 0 to 4 in column word; row 0 has 5"):
        check_ids(replace(bag, ids=np.array([[0, -1, 5], [3, 3, -1]])))
    with pytest.raises(BadInput, match="row 0 has -2"):
        check_ids(replace(bag, ids=np.array([[0, -2, 4], [3, 3, -1]])))


def test_data_that_are_not_public_have_no_plain_hash():
    with pytest.raises(ValueError, match="needs the store's key"):
        small(public=False)
    prints = {small(public=False, key=key).fingerprint for key in (b"one", b"two")} | {small().fingerprint}
    assert len(prints) == 3
    assert small().fingerprint == small(key=b"one").fingerprint


@pytest.mark.parametrize(
    "changed",
    [
        {"ids": IDS[::-1]},
        {"labels": np.array([0, 1, 0])},
        {"sizes": (2, 4)},
        {"columns": ("a", "c")},
        {"months": LABELS},
        {"persons": LABELS},
        {"texts": ("x", "y", "z")},
    ],
)
def test_whatever_the_data_say_changes_the_fingerprint(changed):
    assert small(**changed).fingerprint != small().fingerprint


def test_a_column_cannot_pass_for_another():
    assert small(months=LABELS).fingerprint != small(persons=LABELS).fingerprint


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_ids_pass_where_all_lie_inside_and_only_there(sizes, data):
    drawn = [[data.draw(st.integers(-1, 4)) for _ in sizes] for _ in range(2)]
    table = small(columns=[str(t) for t in range(len(sizes))], ids=np.array(drawn), sizes=sizes, labels=LABELS[:2])
    inside = all(0 <= number < size for row in drawn for number, size in zip(row, sizes, strict=True))
    try:
        check_ids(table)
    except BadInput:
        assert not inside
    else:
        assert inside


@pytest.mark.parametrize("name", ["", "nonsense", "insteval:", "insteval:none.csv", "movielens:none", "none.csv"])
def test_a_name_that_names_nothing(name):
    with pytest.raises(BadInput, match=r"flights, flights-60k, movies, power-law.*insteval:FILE") as caught:
        load_table(name)
    assert "\n" not in str(caught.value)


def test_importing_the_registry_is_light():
    code = "import sys, labkit.data.tables; print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
