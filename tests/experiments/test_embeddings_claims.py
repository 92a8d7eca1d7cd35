"""What notebook 04's stored results may claim, and that a wrong number in them is noticed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from small_embeddings import EXPERIMENT, finish, spec

from labkit.experiments.embeddings.claims import BANDS, LAZY, REDUCTION, bands, claims
from labkit.experiments.embeddings.spec import EmbeddingsSpec
from labkit.runs import Store
from labkit.runs.view import View

CHANGES = {"epsilon": "8,2,plain", "threshold": "1,2", "map_norm": "l2,l1", "vocabulary": "0,70", "seeds": 2}
COST, REDONE, NOISELESS, SURVIVORS, DENSE = (
    "nothing that was trained without interruption",
    "what a stop made a run do again is charged",
    "nothing without noise shows an epsilon",
    "survivors are those that the noise alone lets through",
    "dpsgd and lazydp noise every row",
)


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("store")) as store:
        yield finish(store, **CHANGES)


def failing(view: View, arm: str = "", epsilon: float | str = "", **values: object) -> list[str]:
    """The claims that do not hold when one stored row says something else."""
    rows = [dict(row) for row in view.results()]
    found = [row for row in rows if (row["arm"], row["epsilon"]) == (arm, epsilon)]
    for row in found[:1]:
        row.update({name: value(row) if callable(value) else value for name, value in values.items()})
    judged = claims(SimpleNamespace(spec=view.spec, results=lambda: rows, series=view.series))
    return [claim.text for claim in judged if not claim.holds]


def test_claims_hold_of_what_is_stored(view):
    assert len(claims(view)) == 5  # a modified Spec has no bands
    assert failing(view) == []
    assert all(claim.measured for claim in claims(view))


@pytest.mark.parametrize(
    ("arm", "epsilon", "values", "claim"),
    [
        ("dpsgd", 8.0, {"epsilon_spent": 8.001}, COST),
        ("fest", 2.0, {"epsilon_spent": 2.001}, COST),
        ("lazydp", 8.0, {"executions": 2, "epsilon_spent": 7.0}, REDONE),
        ("plain", "plain", {"epsilon_spent": 1.0}, NOISELESS),
        ("dpsgd", 8.0, {"survivors": 399.0}, DENSE),
        ("lazydp", 2.0, {"survivors": 226.0}, DENSE),
        ("adafest", 8.0, {"survivors": 0.0}, SURVIVORS),
        ("adafest", 2.0, {"survivors": 400.0}, SURVIVORS),
        ("adafest_plus", 2.0, {"survivors": 94.0, "not_private_touched": 40.0}, SURVIVORS),
        ("adafest", 8.0, {"survivors": lambda row: row["expected_false"] * 0.2}, SURVIVORS),
    ],
)
def test_a_claim_fails_when_a_stored_number_is_wrong(view, arm, epsilon, values, claim):
    (found,) = failing(view, arm, epsilon, **values)
    assert found.startswith(claim)


def test_what_was_redone_may_cost_more(view):
    assert failing(view, "dpsgd", 8.0, executions=2, epsilon_spent=9.5) == []


def made_up(asked: EmbeddingsSpec, **values: float | str) -> SimpleNamespace:
    """A view of one result for each arm that has a band, in the middle of all."""
    rows = []
    for (arm, epsilon), (low, high) in BANDS["quick"].items():
        row = {"arm": arm, "epsilon": epsilon, "auc": (low + high) / 2, "order": "year", "vocabulary": 0}
        rows.append(row | {"map_norm": "l2", "reduction": 200.0})
    (dense,) = (row for row in rows if row["arm"] == "dpsgd")
    rows.append(dense | {"arm": "lazydp"})
    for row in rows:
        row.update({name: value for name, value in values.items() if name in row and row["arm"] == values["arm"]})
    return SimpleNamespace(spec=asked, results=lambda: rows)


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({"arm": "none"}, 0),
        ({"arm": "plain", "auc": 0.9}, 1),
        ({"arm": "plain", "auc": 0.5}, 1),
        ({"arm": "adafest", "auc": 0.9}, 1),
        ({"arm": "adafest", "reduction": 3.0}, 1),
        ({"arm": "adafest", "reduction": 1e6}, 1),
        ({"arm": "lazydp", "auc": 0.8}, 1),
        ({"arm": "dpsgd", "auc": 0.9}, 2),  # and lazydp, which is dpsgd, differs from it
    ],
)
def test_a_band_fails_below_and_above(values, failed):
    quick = EXPERIMENT.spec.of(device="cpu")
    judged = bands(made_up(quick, **values))
    assert len(judged) == len(BANDS["quick"]) + 2
    assert sum(not claim.holds for claim in judged) == failed


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_bands_are_of_points_that_the_preset_has(preset):
    made = EXPERIMENT.spec.of(device="cpu", preset=preset)
    trained = {(p.epsilon[0] if isinstance(p.epsilon[0], str) else p.method[0], p.epsilon[0]) for p in made.points()}
    assert set(BANDS[preset]) <= trained
    assert {("lazydp", epsilon) for epsilon in LAZY[preset]} <= trained
    assert {("adafest", epsilon) for epsilon in REDUCTION[preset]} <= trained


def test_the_verdicts_say_what_they_compare(view):
    words = EXPERIMENT.verdict_words(view)
    assert "adafest" in words
    assert "dpsgd" in words
    assert "epsilon 8" in words


@pytest.mark.parametrize("name", sorted(EXPERIMENT.charts))
def test_every_chart_can_be_drawn_of_what_is_stored(view, name):
    assert EXPERIMENT.charts[name](view).to_dict()


def test_the_private_cost_of_all_results_in_words(view):
    assert "epsilon" in EXPERIMENT.totals(view)


def test_the_live_chart_reads_a_series_that_is_stored(view):
    rows = view.series(EXPERIMENT.live["series"])
    assert rows
    assert all(EXPERIMENT.live["y"] in row for row in rows)
    assert spec(**CHANGES).modified()
