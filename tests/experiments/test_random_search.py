import numpy as np
import pytest
import torch

from labkit.data import load, split
from labkit.errors import BadInput
from labkit.experiments import get, names, of_spec
from labkit.experiments.random_search.claims import claims
from labkit.runs import Store, Worker
from labkit.runs.events import Artifact, Chunk, Point, Result
from labkit.runs.experiment import Resources
from labkit.runs.view import View
from labkit.verdicts import comparisons

EXPERIMENT = get("01")
SMALL = {
    "data": "digits", "width": 24, "steps": 20, "budget": 12, "sparsity": 0.5, "evaluations": 4, "seeds": 2,
    "landscape_size": 3, "device": "cpu", "batch_size": 32,
}  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return split(load("digits"), 0)


def spec(**changes):
    return EXPERIMENT.spec.of(**(SMALL | changes))


def events(point, seed, digits, chunks=None):
    return list(EXPERIMENT.run(point, seed, Resources(torch.device("cpu"), digits, chunks=chunks or {})))


@pytest.fixture(scope="module")
def told(digits):
    return events(spec(), 0, digits)


def by_arm(told):
    return {event.arm: event.values for event in told if isinstance(event, Result)}


def arrays(told, key):
    return next(event.tensors for event in told if isinstance(event, Artifact) and event.key == key)


def test_the_registry_finds_experiments_both_ways():
    assert "01" in names()
    assert of_spec(spec()) is EXPERIMENT
    with pytest.raises(BadInput, match="experiment = '77'"):
        get("77")


def test_the_arms_follow_from_the_candidates(told):
    arms, table, scores = by_arm(told), arrays(told, "candidates"), arrays(told, "scores")["initial_loss"]
    assert set(arms) == {"dense", "found", "first", "random"}
    assert table["index"].tolist() == list(range(12))
    found = int(scores.argmin())
    assert arms["found"]["test_accuracy"] == pytest.approx(float(table["test_accuracy"][found]))
    assert arms["found"]["initial_loss"] == pytest.approx(float(scores.min()))
    assert arms["first"]["test_accuracy"] == pytest.approx(float(table["test_accuracy"][0]))
    assert arms["random"]["test_accuracy"] == pytest.approx(float(table["test_accuracy"].mean()))
    assert torch.equal(table["initial_loss"], scores)
    assert arms["random"]["trained"] == 12
    assert arms["found"]["parameters"] == 64 * 12 + 12 * 12 + 12 * 10 + 12 + 12 + 10


def test_each_candidate_is_trained_in_two_orders(told):
    table = arrays(told, "candidates")
    assert not torch.equal(table["test_accuracy"], table["test_accuracy_again"])


def test_a_replicate_repeats_itself_bit_by_bit(told, digits):
    again = events(spec(), 0, digits)
    assert by_arm(again) == by_arm(told)
    assert torch.equal(arrays(again, "candidates")["test_accuracy"], arrays(told, "candidates")["test_accuracy"])


def test_finished_chunks_are_not_computed_again_and_change_nothing(told, digits):
    chunks = {event.key: dict(event.tensors) for event in told if isinstance(event, Chunk)}
    again = events(spec(), 0, digits, chunks)
    assert not [event for event in again if isinstance(event, Chunk)]
    assert by_arm(again) == by_arm(told)
    told_twice = [
        e.values for e in again if isinstance(e, Point) and e.values.get("arm") == "dense" and "step" in e.values
    ]
    assert told_twice == []


def test_a_larger_budget_begins_with_the_same_candidates(told, digits):
    more = events(spec(budget=20, landscape_size=0), 0, digits)
    scores = arrays(more, "scores")["initial_loss"]
    assert torch.equal(scores[:12], arrays(told, "scores")["initial_loss"])


def test_selection_never_sees_the_test_split(told, digits):
    """Other test labels change no choice and no curve, only the test figures."""
    from dataclasses import replace

    from labkit.data.split import Part

    other = replace(digits, test=Part(digits.test.x, (digits.test.y + 1) % 10))
    again = events(spec(), 0, other)
    assert torch.equal(arrays(again, "scores")["initial_loss"], arrays(told, "scores")["initial_loss"])
    curves = [[e for e in some if isinstance(e, Point)] for some in (told, again)]
    assert curves[0] == curves[1]
    assert by_arm(again)["found"]["test_accuracy"] != by_arm(told)["found"]["test_accuracy"]


def test_pairs_share_the_parent_and_replicates_do_not(told, digits):
    other = events(spec(), 1, digits)
    assert by_arm(other)["dense"]["initial_loss"] != by_arm(told)["dense"]["initial_loss"]


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "weights", "distribution": "erk"},
        {"model": "cnn", "width": 8, "depth": 2},
        {"score_after": 3},
        {"rescale": True},
        {"sparsity": 0},
        {"budget": 1},
    ],
    ids=str,
)
def test_every_setting_runs_whole(changes, digits):
    arms = by_arm(events(spec(**(changes | {"landscape_size": 2})), 0, digits))
    assert set(arms) == {"dense", "found", "first", "random"}
    if changes.get("sparsity") == 0:  # nothing removed: all arms are the parent itself
        assert arms["found"]["test_accuracy"] == arms["dense"]["test_accuracy"] == arms["random"]["test_accuracy"]


def test_landscapes_are_centred_on_the_network(told, digits):
    landscape, axis = arrays(told, "landscape-dense-before"), arrays(told, "landscape-dense-before")["axis"]
    assert axis.tolist() == [-1, 0, 1]
    start = arrays(told, "interpolation")
    at_zero = int(start["axis"].abs().argmin())
    assert float(landscape["loss"][1, 1]) == pytest.approx(float(start["dense"][at_zero]), rel=1e-4)
    path = arrays(told, "path-found")
    assert path["coordinates"][-1].abs().max() < 1e-6
    assert path["loss"].shape == (3, 3)
    assert arrays(told, "landscape-found-after")["profile_outside"].shape == (41,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sparsity": 0.99}, "sparsity = '0.99'.*none of its 24 nodes"),
        ({"batch_size": 5000}, "batch_size = 5000.*1258"),
        ({"model": "cnn", "depth": 5}, "depth = 5.*at most 3"),
        ({"steps": 1_000_000, "width": 16_384}, "steps = 1000000.*24 hours.*would take about"),
        ({"width": 16_384, "depth": 16, "steps": 1, "evaluations": 1}, "GB|hours"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_trains(changes, words, digits):
    with pytest.raises(BadInput, match=words):
        EXPERIMENT.check(spec(**changes), digits)


def test_an_impossible_cell_of_a_grid_is_shown_not_refused(digits):
    some = spec(sparsity="0.5,0.99")
    EXPERIMENT.check(some, digits)
    assert [EXPERIMENT.impossible(point) is None for point in some.points()] == [True, False]


@pytest.mark.usefixtures("one_rate")
def test_estimates_grow_with_the_work(digits):
    device = torch.device("cpu")
    small, large = (EXPERIMENT.estimate(spec(budget=b), digits, device).seconds for b in (10, 500))
    assert large > 5 * small


@pytest.fixture(scope="module")
def view(tmp_path_factory, digits):
    store = Store(tmp_path_factory.mktemp("store"))
    asked = spec(sparsity="0.5,0.99", landscape_size=0, seeds=5)
    for _ in Worker(EXPERIMENT, asked, store).run():
        pass
    return View(store, EXPERIMENT, asked, digits.fingerprint)


def test_verdicts_are_judged_from_the_store(view):
    judged = comparisons(view)
    assert {c.fields["sparsity"] for c in judged} == {0.5}  # the impossible cell is no member of the family
    rows = {(r["seed"], r["arm"]): r["test_accuracy"] for r in view.results()}
    mean = np.mean([rows[s, "found"] - rows[s, "random"] for s in range(5)])
    (found,) = (c for c in judged if (c.one, c.other) == ("found", "random"))
    assert found.verdict.mean == pytest.approx(mean)
    assert found.verdict.n == 5
    assert found.verdict.margin == view.spec.margin


def test_seeds_added_after_a_look_share_the_error_of_four_looks(view, monkeypatch):
    (alone, *_), planned = comparisons(view), view.planned_seeds()
    assert planned == {5}
    monkeypatch.setattr(view, "planned_seeds", lambda: {5, 10})
    (among, *_) = comparisons(view)
    assert (alone.verdict.level, among.verdict.level) == (0.95, 0.9875)


def test_nothing_is_judged_before_all_planned_seeds_are_finished(view):
    more = View(view.store, EXPERIMENT, spec(sparsity="0.5,0.99", landscape_size=0, seeds=10), view.fingerprint)
    assert not more.complete
    for comparison in comparisons(more):
        assert comparison.verdict.word == "undecided"
        assert comparison.verdict.text == "undecided: 5 of 10 seeds are finished"
        assert comparison.verdict.n == 5


def test_claims_of_a_modified_spec_are_invariants_only(view):
    made = claims(view)
    assert len(made) == 3
    assert all(claim.holds for claim in made)


def test_a_claim_fails_when_a_stored_number_is_wrong(view, monkeypatch):
    rows = view.results()
    rows[0] = rows[0] | {"test_accuracy": rows[0]["test_accuracy"] + 0.01}
    monkeypatch.setattr(view, "results", lambda: rows)
    assert not all(claim.holds for claim in claims(view))
