"""What notebook 05's stored results may claim, that a wrong number in them is noticed, and what exports leave out."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from small_finetune import EXPERIMENT, finish, patched, spec

from labkit.cli.export import not_private
from labkit.cli.tables import as_csv, as_json
from labkit.experiments.finetune.claims import BANDS, bands, claims
from labkit.experiments.finetune.spec import METHODS, FinetuneSpec
from labkit.runs import Store
from labkit.runs.view import View

CHANGES = {
    "method": "all,head,lora,sparta,sparta_norm,search", "epsilon": "8,plain", "sparsity": "0.6,0.3",
    "scope": "layer,global", "warmup": "0,0.5", "seeds": 2, "landscape_size": 2,
}  # fmt: skip
COST, REDONE, NOISELESS, FROZEN, PAID, SAME = (
    "nothing that was trained without interruption",
    "what a stop made a run do again is charged",
    "nothing without noise shows an epsilon",
    "the share of weights frozen is the sparsity",
    "a private choice of rows is paid for with more noise",
    "a method of fixed size moves the same numbers",
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with patched(), Store(tmp_path_factory.mktemp("store")) as store:
        yield store, finish(store, **CHANGES)


@pytest.fixture
def view(stored) -> View:
    return stored[1]


def failing(view: View, arm: str = "", epsilon: float | str = "", where: dict | None = None, **values: object) -> list:
    """The claims that do not hold when one stored row says something else."""
    rows = [dict(row) for row in view.results()]
    wanted = {"arm": arm, "epsilon": epsilon, **(where or {})}
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert bool(found) == bool(arm)
    for row in found[:1]:
        row.update({name: value(row) if callable(value) else value for name, value in values.items()})
    judged = claims(SimpleNamespace(spec=view.spec, results=lambda: rows, series=view.series))
    return [claim.text for claim in judged if not claim.holds]


def test_claims_hold_of_what_is_stored(view):
    assert len(claims(view)) == 6  # a modified Spec has no bands
    assert failing(view) == []
    assert all(claim.measured for claim in claims(view))


LAYERED, ACROSS = {"scope": "layer", "sparsity": 0.6}, {"scope": "global"}


@pytest.mark.parametrize(
    ("arm", "epsilon", "where", "values", "claim"),
    [
        ("all", 8.0, {}, {"epsilon_spent": 8.001}, COST),
        ("search", 8.0, {}, {"epsilon_spent": 8.001}, COST),
        ("sparta", 8.0, {}, {"executions": 2, "epsilon_spent": 7.0}, REDONE),
        ("random", "plain", {}, {"epsilon_spent": 1.0}, NOISELESS),
        ("random", 8.0, LAYERED, {"frozen_share": 0.601}, FROZEN),
        ("sparta_norm", 8.0, ACROSS, {"frozen_share": 0.59}, FROZEN),
        ("sparta", 8.0, {}, {"noise_multiplier": lambda row: row["noise_multiplier_without"]}, PAID),
        ("search", 8.0, {}, {"noise_multiplier": 0.1}, PAID),
        ("random", 8.0, {}, {"selection_steps": 4}, PAID),
        ("head", 8.0, {}, {"moving": 71}, SAME),
        ("lora", "plain", {}, {"moving": lambda row: row["moving"] + 2}, SAME),
    ],
)
def test_a_claim_fails_when_a_stored_number_is_wrong(view, arm, epsilon, where, values, claim):
    (found,) = failing(view, arm, epsilon, where, **values)
    assert found.startswith(claim)


@pytest.mark.parametrize(
    ("arm", "where", "values"),
    [
        ("all", {}, {"executions": 2, "epsilon_spent": 9.5}),  # what was redone may cost more
        ("random", LAYERED, {"frozen_share": 0.2}),  # a layer moves a row, however few it has
        ("random", ACROSS, {"frozen_share": 0.9}),  # a row that does not fit stays frozen
        ("random", ACROSS, {"frozen_share": 0.1, "rows_chosen": 1}),  # unless it is the only one
    ],
)
def test_what_may_be(view, arm, where, values):
    assert failing(view, arm, 8.0, where, **values) == []


def made_up(asked: FinetuneSpec, **changes: object) -> SimpleNamespace:
    """A view of two results for each band, in the middle of it on average, and others that no band is of."""
    rows = []
    for (arm, epsilon), (low, high) in BANDS[asked.preset].items():
        row = {"arm": arm, "epsilon": epsilon, "sparsity": 0.8, "scope": "layer", "warmup": 0.0}
        middle = (low + high) / 2 + (changes.get("by", 0) if arm == changes.get("arm") else 0)
        rows += [row | {"test_accuracy": middle + step} for step in (-0.2, 0.2)]
        if arm in ("random", "sparta"):
            rows += [row | {"test_accuracy": 0.1} | other for other in ({"sparsity": 0.3}, {"scope": "global"})]
        if arm == "sparta":
            rows.append(row | {"test_accuracy": 0.1, "warmup": 0.5})
    return SimpleNamespace(spec=asked, results=lambda: rows)


@pytest.mark.parametrize(
    ("arm", "by", "failed"), [("none", 0, 0), ("head", 0.1, 1), ("head", -0.1, 1), ("sparta", 0.1, 1)]
)
def test_a_band_fails_below_and_above(arm, by, failed):
    quick = EXPERIMENT.spec.of(device="cpu")
    judged = bands(made_up(quick, arm=arm, by=by))
    assert len(judged) == len(BANDS["quick"]) > 3
    assert sum(not claim.holds for claim in judged) == failed


@pytest.mark.parametrize("preset", ["quick", "full", "imagenet"])
def test_bands_are_of_points_that_the_preset_has(preset):
    made = EXPERIMENT.spec.of(device="cpu", preset=preset)
    assert set(BANDS[preset]) <= {(point.method[0], point.epsilon[0]) for point in made.points()}


def test_an_unmodified_preset_has_bands():
    quick = EXPERIMENT.spec.of(device="cpu", seed=3, store="elsewhere")
    rows = made_up(quick).results()
    for row in rows:
        row |= {"selection_steps": 0, "frozen_share": 0.8, "rows_chosen": 3, "moving": 1}
    view = SimpleNamespace(spec=quick, results=lambda: rows)
    assert len(claims(view)) == 6 + len(BANDS["quick"])


def test_the_verdicts_say_what_they_compare(view):
    words = EXPERIMENT.verdict_words(view).splitlines()
    assert len(words) > 20
    for reference in ("all", "head", "random"):
        assert any(f"epsilon 8: sparta against {reference}: " in line for line in words)
        assert any(f"epsilon plain: lora against {reference}: " in line for line in words) or reference == "lora"


@pytest.mark.parametrize("name", sorted(EXPERIMENT.charts))
def test_every_chart_can_be_drawn_of_what_is_stored(view, name):
    assert EXPERIMENT.charts[name](view).to_dict()


def test_the_private_cost_of_all_results_in_words(view):
    assert "not a releasable guarantee" in EXPERIMENT.totals(view)


def test_the_live_chart_reads_a_series_that_is_stored(view):
    """It draws `selection_accuracy` (`widgets.live_curve`) of the arms that it names."""
    rows = view.series(EXPERIMENT.live["series"])
    assert "y" not in EXPERIMENT.live
    assert all("selection_accuracy" in row and row["method"] in METHODS for row in rows)
    assert {row["arm"] for row in rows} == set(EXPERIMENT.live["arms"](view.spec))


def test_exports_leave_out_what_is_not_private(stored, capsys):
    store, view = stored
    names = sorted({row["name"] for row in store.replicates()})
    hidden = not_private(store, names)
    said = capsys.readouterr().err
    held = {field for row in view.results() for field in row if field.startswith("not_private")}
    assert held == {"not_private_clipped", "not_private_dropped", "not_private_overlap"}
    assert held | {"landscape"} == hidden
    assert all(field in said for field in hidden)
    for text in (as_json(store, names, hidden), as_csv(store, names, hidden)):
        assert "test_accuracy" in text
        assert "not_private" not in text
    exported = {field for row in json.loads(as_json(store, names, hidden)) for r in row["results"] for field in r}
    everything = {field for row in view.results() for field in row} - set(spec().controls())
    assert everything - exported - {"arm", "seed"} == held


def test_the_landscape_is_no_exported_array(stored, tmp_path):
    store, view = stored
    names = sorted({row["name"] for row in store.replicates()})
    whole = store.export(names, tmp_path / "whole")
    assert len(whole) == 1
    assert store.export(names, tmp_path / "shared", not_private(store, names)) == []
    (shown,) = [p for p in view.spec.points() if p.method == ("sparta",) and p.sparsity == (0.6,)
                and (p.epsilon, p.scope, p.warmup) == ((8.0,), ("layer",), (0.0,))]  # fmt: skip
    assert set(view.arrays(shown, 0, "landscape")) == {"loss", "axis_x", "axis_y"}
