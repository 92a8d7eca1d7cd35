from __future__ import annotations

import re
from pathlib import Path

import pytest
from fake_experiment import FakeSpec

from labkit.errors import BadInput
from labkit.runs import RunKey, Store, reader
from labkit.runs.events import Point, Result

SPEC = FakeSpec.of(sparsity=0.5)
FIRST, SECOND = RunKey("99", "aaaa", 0, "cpu"), RunKey("01", "aabb", 1, "cuda")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        for number, key in enumerate((FIRST, SECOND)):
            with opened.claim(key, SPEC):
                opened.write(key, Point("curve", {"step": number}), Point("other", {"step": number}))
                opened.write(key, Result("found", {"x": number}))
                opened.finish(key)
        yield opened


def test_points_since_a_cursor(store):
    cursor, rows = store.points_since(0, series="curve")
    assert rows == [
        {"name": "aaaa", "seed": 0, "device_kind": "cpu", "series": "curve", "step": 0},
        {"name": "aabb", "seed": 1, "device_kind": "cuda", "series": "curve", "step": 1},
    ]
    assert store.points_since(cursor, series="curve") == (cursor, [])
    with store.claim(key := RunKey("99", "cccc", 0, "cpu"), SPEC):
        store.write(key, Point("curve", {"step": 7}))
        later, rows = store.points_since(cursor, series="curve")
        assert [row["step"] for row in rows] == [7]
        assert later > cursor


def test_a_cursor_survives_that_points_are_dropped(store):
    key = RunKey("99", "cccc", 0, "cpu")
    with store.claim(key, SPEC):
        store.write(key, Point("curve", {"step": 7}))
        cursor, _ = store.points_since(0)
    with store.claim(key, SPEC):  # resumes without a checkpoint: step 7 is said again
        store.write(key, Point("curve", {"step": 7}))
        assert [row["step"] for row in store.points_since(cursor)[1]] == [7]


def test_points_since_filters(store):
    assert [row["name"] for row in store.points_since(0, experiment="01")[1]] == ["aabb", "aabb"]
    assert [row["name"] for row in store.points_since(0, series="other", names=["aaaa", "zz"])[1]] == ["aaaa"]
    assert store.points_since(0, names=[])[1] == []


def test_replicates_by_experiment_and_name(store):
    assert [row["name"] for row in store.replicates()] == ["aaaa", "aabb"]
    assert [row["name"] for row in store.replicates(experiment="01")] == ["aabb"]
    assert [row["seed"] for row in store.replicates(name="aabb")] == [1]
    assert store.replicates("01", "aaaa") == []


def test_find_takes_the_first_letters_of_one_run(store):
    assert store.find("aab") == "aabb"
    for given, said in [("aa", "2 begin so"), ("b", "it holds 2"), ("", "it holds 2")]:
        with pytest.raises(BadInput, match=said):
            store.find(given)


def test_results_of_unfinished_replicates_only_when_asked(store):
    with store.claim(key := RunKey("99", "cccc", 0, "cpu"), SPEC):
        store.write(key, Result("found", {"x": 2}))
        assert [row["x"] for row in store.results()] == [0, 1]
        assert [row["x"] for row in store.results(finished=False)] == [0, 1, 2]


def test_no_statement_numbers_its_parameters():
    """`?1` is a name to SQLite, and from Python 3.14 on a name takes no sequence."""
    folder = Path(reader.__file__).parent
    assert [path.name for path in folder.glob("*.py") if re.search(r"\?\d", path.read_text())] == []
