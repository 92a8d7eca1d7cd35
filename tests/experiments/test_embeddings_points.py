"""Which trainings follow from notebook 04's lists, and which of them cannot be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_embeddings import EXPERIMENT, spec

from labkit.errors import BadInput
from labkit.experiments.embeddings.spec import CHOOSING, UNUSED, USED, configuration, middle
from labkit.runs.naming import run_name

GRID = {
    "epsilon": "1,plain", "selection_fraction": "0.1,0.5", "threshold": "1,3", "k": "5,10", "map_norm": "l2,l1",
    "vocabulary": "0,50", "order": "year,months",
}  # fmt: skip
FIELDS = ("epsilon", "method", *CHOOSING, "vocabulary", "order")


def rows(**changes: Any) -> list[tuple[Any, ...]]:
    """Each point's value of each grid field."""
    return [tuple(getattr(point, name)[0] for name in FIELDS) for point in spec(**GRID | changes).points()]


def test_a_small_grid_by_hand():
    found = rows()
    assert Counter((row[0], row[1]) for row in found) == {
        (1.0, "dpsgd"): 3,  # as it is, of the small vocabulary, along the stream
        (1.0, "lazydp"): 3,
        ("plain", "dpsgd"): 3,
        (1.0, "fest"): 2 + 2,
        (1.0, "adafest"): 2 * 2 + 2 + 2,  # fractions times thresholds, thresholds in the other norm
        (1.0, "adafest_plus"): 2 * 2 + 2,
    }
    assert len(found) == len(set(found))
    assert [row for row in found if row[1] == "fest"] == [
        (1.0, "fest", 0.0, 0.0, 5, "l2", 0, "year"),
        (1.0, "fest", 0.0, 0.0, 10, "l2", 0, "year"),
        (1.0, "fest", 0.0, 0.0, 5, "l2", 50, "year"),
        (1.0, "fest", 0.0, 0.0, 5, "l2", 0, "months"),
    ]
    assert [row for row in found if row[1] == "adafest"] == [
        (1.0, "adafest", 0.1, 1.0, 0, "l2", 0, "year"),
        (1.0, "adafest", 0.1, 3.0, 0, "l2", 0, "year"),
        (1.0, "adafest", 0.5, 1.0, 0, "l2", 0, "year"),
        (1.0, "adafest", 0.5, 3.0, 0, "l2", 0, "year"),
        (1.0, "adafest", 0.1, 1.0, 0, "l1", 0, "year"),
        (1.0, "adafest", 0.1, 3.0, 0, "l1", 0, "year"),
        (1.0, "adafest", 0.1, 1.0, 0, "l2", 50, "year"),
        (1.0, "adafest", 0.1, 1.0, 0, "l2", 0, "months"),
    ]
    assert {row[2:4] for row in found if row[1] == "adafest_plus"} == {(0.1, 1.0), (0.1, 3.0)}


def test_what_a_method_has_no_use_for_is_held():
    for row in rows():
        held = dict(zip(FIELDS, row, strict=True))
        for name in CHOOSING:
            if name not in USED[held["method"]]:
                assert held[name] == UNUSED[name]


@pytest.mark.parametrize("method", ["fest", "adafest", "lazydp", "fest,lazydp"])
def test_dpsgd_always_runs_beside(method):
    found = rows(method=method, epsilon="1,8,plain,clipped")
    assert {row[0] for row in found if row[1] == "dpsgd"} == {1.0, 8.0, "plain", "clipped"}
    assert {row[1] for row in found} == {"dpsgd", *method.split(",")}


def test_words_train_the_dense_method_alone():
    assert {row[1] for row in rows(epsilon="plain,clipped")} == {"dpsgd"}


def test_points_do_not_depend_on_the_order_of_what_stands_first():
    """The first vocabulary, order and norm are the main ones; of the other lists the middle is, however sorted."""
    assert set(rows(threshold="1,3")) == set(rows(threshold="3,1"))
    assert {row[-1] for row in rows(order="months,year") if row[4] == 10} == {"months"}


@pytest.mark.parametrize(
    ("values", "expected"), [((3,), 3), ((1, 3), 1), ((3, 1), 1), ((5, 1, 3), 3), ((4, 2, 1, 3), 2)]
)
def test_the_middle_by_hand(values, expected):
    assert middle(values) == expected


LISTS = {
    "epsilon": ["1", "8", "plain", "clipped"], "method": list(USED), "selection_fraction": ["0.1", "0.5", "0.9"],
    "threshold": ["0", "1", "3"], "k": ["5", "10", "20"], "map_norm": ["l2", "l1"], "vocabulary": ["0", "50", "70"],
    "order": ["year", "months"],
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({name: st.lists(st.sampled_from(v), min_size=1, unique=True) for name, v in LISTS.items()})
)
def test_each_point_once_and_each_value_somewhere(lists):
    asked = spec(**{name: ",".join(values) for name, values in lists.items()})
    names = [run_name("04", 1, point, "f" * 64) for point in asked.points()]
    assert len(names) == len(set(names)) == len(asked.points())
    found = [dict(zip(FIELDS, row, strict=True)) for row in rows(**{n: ",".join(v) for n, v in lists.items()})]
    for name in ("epsilon", "vocabulary", "order"):
        assert {row[name] for row in found} == set(getattr(asked, name))
    private = [row for row in found if row["method"] == "adafest"]
    for name in ("selection_fraction", "threshold", "map_norm") if private else ():
        assert {row[name] for row in private} == set(getattr(asked, name))
    assert all(row["method"] == "dpsgd" for row in found if isinstance(row["epsilon"], str))
    assert {(row["epsilon"], row["vocabulary"], row["order"]) for row in found} == {
        (row["epsilon"], row["vocabulary"], row["order"]) for row in found if row["method"] == "dpsgd"
    }  # every training has its baseline


def test_a_person_cannot_be_in_a_stream():
    year, months = (spec(unit="person", order=order).points()[0] for order in ("year", "months"))
    assert EXPERIMENT.impossible(year) is None
    assert "compose" in EXPERIMENT.impossible(months)
    assert EXPERIMENT.impossible(spec(order="months").points()[0]) is None


def test_configurations_in_words():
    said = {configuration(point) for point in spec(**GRID).points()}
    assert {"threshold 1, f 0.1", "threshold 3, f 0.1, L1 map", "k 5", "threshold 1, f 0.1, k 10", "",
            "threshold 1, f 0.1, 50 rows", "k 5, stream", "stream", "50 rows"} <= said  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "eana"}, "method"),  # noise where touched is not private: never offered
        ({"epsilon": "0"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "3,none"}, "epsilon.*clipped.*plain"),
        ({"selection_fraction": "1"}, "selection_fraction"),
        ({"selection_fraction": "-0.1"}, "selection_fraction"),
        ({"map_norm": "l3"}, "map_norm.*l2.*l1"),
        ({"order": "weeks"}, "order.*year.*months"),
        ({"frequency": "exact"}, "frequency.*public.*histogram.*gumbel"),
        ({"frequency_share": 1}, "frequency_share"),
        ({"threshold": "often"}, "threshold"),
        ({"k": "-1"}, "k"),
        ({"batch_size": 0}, "batch_size"),
        ({"optimizer": "adam"}, "optimizer.*sgd.*adagrad"),
        ({"noise_source": "dice"}, "noise_source.*seeded.*os"),
        ({"unit": "flight"}, "unit.*example.*person"),
    ],
)
def test_what_a_single_field_cannot_be(changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        spec(**changes)
    assert len(str(refused.value).splitlines()) == 1
