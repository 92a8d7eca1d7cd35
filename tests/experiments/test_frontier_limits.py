"""What is refused before anything trains, what is expected, what is counted, and what stored results may claim."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from small_frontier import EXPERIMENT, batch, digits, jobs, points, spec, told

from labkit.errors import BadInput
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.claims import claims
from labkit.experiments.frontier.ledger import ledger, spent_so_far
from labkit.experiments.frontier.spec import SIMULATED
from labkit.privacy import spent
from labkit.privacy.events import dp_sgd
from labkit.runs import Store, Worker
from labkit.runs.view import View

N = 1258  # training images of the digits


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epsilon": "-1"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "inf"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "nan"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "0"}, "epsilon.*clipped.*plain"),
        ({"epsilon": "2,none"}, "epsilon.*clipped.*plain"),
        ({"delta": 1 / N}, r"delta.*below 1/n = 0\.000795"),
        ({"delta": 0.5}, r"delta.*below 1/n"),
        ({"delta": -1e-6}, "delta"),
        ({"clip_norm": 0}, "clip_norm"),
        ({"clip_norm": "nan"}, "clip_norm"),
        ({"batch_size": N + 1}, rf"batch_size = {N + 1}.*at most {N}.*a rate is at most 1"),
        ({"batch_size": N, "thin_class": "3"}, r"batch_size = 1258.*at most 11\d\d"),  # the thinned set is smaller
        ({"thin_class": "Shirt"}, "thin_class = 'Shirt'.*empty, or one of 0, 1, 2"),
        ({"sparsity": "0.95,0.99", "space": "nodes"}, "sparsity = '0.95, 0.99'.*none of its 8 nodes"),
        ({"learning_rate": "best"}, "learning_rate.*tuned.*shared"),
        ({"noise_source": "dice"}, "noise_source.*seeded.*os"),
        ({"width": 16_384, "depth": 16, "steps": 100_000}, "GB|hours"),
        ({"epsilon": "plain,1000,2"}, r"epsilon = 1000.*PLD or RDP"),  # none reaches it
    ],
)
def test_what_cannot_run_is_refused_before_anything_trains(changes, words):
    with pytest.raises(BadInput, match=words):
        EXPERIMENT.check(spec(**changes), digits())


@pytest.mark.parametrize(
    "changes",
    [{"delta": 0.99 / N, "epsilon": "plain"}, {"batch_size": N}, {"sparsity": "0.5,0.99"}, {"epsilon": "plain"}],
)
def test_what_is_at_the_bound_is_not_refused(changes):
    EXPERIMENT.check(spec(**changes), digits())


def test_an_impossible_cell_of_a_grid_is_shown_not_refused():
    some = spec(sparsity="0.5,0.95", space="nodes")
    assert [EXPERIMENT.impossible(point) is None for point in some.points()] == [True, False]
    assert "none of its 8 nodes" in EXPERIMENT.impossible(some.points()[1])


@pytest.mark.usefixtures("one_rate")
def test_estimates_grow_with_the_work():
    device = torch.device("cpu")

    def seconds(**changes):
        return EXPERIMENT.estimate(spec(**{"width": 64, "steps": 5000} | changes), digits(), device).seconds

    assert 0 < seconds(epsilon="plain", sparsity="0") < seconds(epsilon="plain", sparsity="0,0.5") < seconds()
    assert seconds(seeds=20) > 2 * seconds()
    assert seconds(learning_rate="0.5") < seconds(learning_rate="shared") < seconds()
    assert EXPERIMENT.estimate(spec(), digits(), device).peak_bytes > 0


@pytest.mark.parametrize("step", [0, 1, 3, 6])
def test_what_was_spent_so_far(step):
    some = batch()
    plan, values = some.plans.training, spent_so_far(some, step).values
    expected = spent([dp_sgd(30 / N, plan.noise_multiplier, step)], 1e-5).epsilon if step else 0
    assert values["epsilon_spent"] == pytest.approx(expected, rel=1e-6)
    assert values["epsilon_spent"] <= values["target"] == 2
    assert (values["step"], values["steps"], values["delta"], values["accountant"]) == (step, 6, 1e-5, "PLD")
    assert (values["sample_rate"], values["source"]) == (30 / N, "seeded")


def rows_of(events):
    return [dict(event.values) for _, event in events]


def test_networks_that_share_their_draws_are_one_row_by_hand():
    some = batch()
    plans = some.plans
    dense, chosen = Arm("dense", plans.training), Arm("chosen-5", plans.chosen, 0.5, "nodes", 5)
    networks = [Network(dense, 0, 0.5), Network(chosen, 0, 0.5), Network(dense, 1, 0.5),
                Network(Arm(SIMULATED, plans.simulated), 0, 0.5)]  # fmt: skip
    training = [row for row in rows_of(ledger(some, networks, 1, ())) if row["what"] == "training"]
    assert [row["networks"] for row in training] == [2, 1, 1]
    one, two = plans.training.noise_multiplier, plans.chosen.noise_multiplier
    expected = [1 / math.sqrt(1 / one**2 + 1 / two**2), one, plans.simulated.noise_multiplier]
    assert [row["noise_multiplier"] for row in training] == pytest.approx(expected)
    assert [row["sample_rate"] for row in training] == [30 / N, 30 / N, 7 / N]
    assert {(row["steps"], row["delta"]) for row in training} == {(6, 1e-5)}
    assert len({row["group"] for row in training}) == 3


def test_choices_and_repeats_are_rows_of_their_own():
    some = batch()  # one sparse cell of nodes, two seeds, three numbers of candidates
    base = Arm("repeats", some.plans.repeats.base, 0.5, "nodes", 1.5)
    losers = [Network(base, 0, 0.5, candidate=i, draw=f"repeat {i}") for i in range(3)]
    rows = rows_of(ledger(some, losers, 2, ()))
    assert rows == [
        {"what": "chosen", "epsilon_each": 0.2, "delta": 1e-5, "times": 2 * 3},
        {"what": "repeats", "epsilon_each": some.plans.repeats.epsilon, "delta": 1e-5, "times": 2 * 2},
    ]
    assert rows_of(ledger(batch(epsilon="plain"), losers, 2, ())) == []


@pytest.mark.parametrize(("rate", "releases"), [("tuned", 2), ("shared", 1), ("0.5", 1)])
def test_a_second_learning_rate_is_a_second_release(rate, releases):
    some = jobs(learning_rate=rate, sparsity="0.5", space="nodes")
    rows = [row for _, row in points(told(some), "ledger")]
    assert [row["times"] for row in rows if row["what"] == "repeats"] == [2 * releases]
    tuning = [row for row in rows if row.get("group", "").startswith("tuning")]
    assert len(tuning) == (rate != "0.5")  # one tuning seed, one draw
    report = [row["networks"] for row in rows if row.get("group") == "report 0 False"]
    assert report[0] >= 6  # dense, random, small and three choices


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    asked = spec(epsilon="2,plain", space="nodes")
    list(Worker(EXPERIMENT, asked, store, load=lambda spec, store: digits()).run())
    return View(store, EXPERIMENT, asked, digits().fingerprint)


AUDITED = [{"epsilon": 2.0, "epsilon_lower": 1.5, "epsilon_claimed": 2.0}]


def stand_in(view, change=lambda rows: None, **series):
    """The view with other rows."""
    rows = [dict(row) for row in view.results()]
    change(rows)
    held = {"tuning": view.series("tuning"), "audit": AUDITED} | series
    return SimpleNamespace(spec=view.spec, results=lambda: rows, series=lambda name: held[name])


def failing(view) -> list[str]:
    return [claim.text.split(",")[0] for claim in claims(view) if not claim.holds]


def test_claims_hold_of_what_is_stored(view):
    made = claims(view)
    assert len(made) == 4  # no audit was run, and a modified Spec has no bands
    assert all(claim.holds for claim in made)
    assert len(claims(stand_in(view))) == 5
    assert failing(stand_in(view)) == []


def change(arm: str, epsilon, **values):
    def apply(rows):
        row = next(row for row in rows if (row["arm"], row["epsilon"]) == (arm, epsilon))
        row.update(values)

    return apply


@pytest.mark.parametrize(
    ("tampered", "claim"),
    [
        (change("small", 2.0, epsilon_spent=2.001), "no network cost more than its epsilon"),
        (change("random", "plain", epsilon_spent=1.0), "nothing without noise shows an epsilon"),
        (change("dense", 2.0, test_accuracy=0.99), "the dense network of one epsilon and seed is one network"),
    ],
)
def test_a_claim_fails_when_a_stored_number_is_wrong(view, tampered, claim):
    assert claim in failing(stand_in(view, tampered))


def test_a_rate_at_the_edge_and_an_audit_beyond_the_accountant_are_told(view):
    tuning = [dict(row) for row in view.series("tuning")]
    own = [row for row in tuning if row["arm"] == "dense" and row["epsilon"] == 2.0]
    for row in own:
        row["chosen"] = row["learning_rate"] == max(row["learning_rate"] for row in own)
    assert failing(stand_in(view, tuning=tuning)) == ["no chosen learning rate lies at the edge of those tried"]
    beyond = [AUDITED[0] | {"epsilon_lower": 2.01}]
    assert failing(stand_in(view, audit=beyond)) == ["no audit proves more than the accountant allows"]


def test_a_simulation_never_shows_an_epsilon(view):
    simulated = [row for row in view.results() if row["arm"] == SIMULATED]
    assert simulated
    assert not any("epsilon_spent" in row for row in simulated)
