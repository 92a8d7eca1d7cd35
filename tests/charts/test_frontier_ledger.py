"""The ledger's three totals from rows made by hand, against a direct computation with dp_accounting."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from dp_accounting import ComposedDpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from made_up_frontier import MadeUp, result

from labkit import charts
from labkit.charts.frontier_ledger import all_runs, ledger_rows, totals
from labkit.errors import BadInput
from labkit.privacy import shared, spent
from labkit.privacy.coverage import free, not_covered
from labkit.privacy.events import dp_sgd
from labkit.privacy.selection import selection_event

Q, STEPS, DELTA = 0.02, 50, 1e-5
SIGMA = {1.0: 1.1, 4.0: 0.7}


def dense(epsilon: Any, seed: int = 0, **rest: Any) -> dict:
    values = {"sample_rate": Q, "steps": STEPS, "noise_multiplier": SIGMA.get(epsilon, 0.0)}
    if epsilon in SIGMA:
        values |= {"delta": DELTA, "epsilon_spent": 0.999 * epsilon, "accountant": "PLD"}
    return result(epsilon, 0.0, seed, "dense", 0.8, **values | rest)


def training(group: str, sigma: float, networks: int = 1, **rest: Any) -> dict:
    row = {"what": "training", "group": group, "networks": networks, "noise_multiplier": sigma}
    return row | {"sample_rate": Q, "steps": STEPS, "delta": DELTA} | rest


def view(*rows: dict, ledger: tuple = ()) -> MadeUp:
    return MadeUp(list(rows), epsilon=(1.0, 4.0, "plain"), seeds=2, series={"ledger": list(ledger)})


def directly(*trainings: tuple[float, float]) -> float:
    """Epsilon of trainings (rate, sigma) by the library itself."""
    accountant = PLDAccountant(value_discretization_interval=1e-3)
    for rate, sigma in trainings:
        step = PoissonSampledDpEvent(rate, GaussianDpEvent(sigma))
        accountant.compose(ComposedDpEvent([SelfComposedDpEvent(step, STEPS)]))
    return accountant.get_epsilon(DELTA)


def drawn(chart: Any) -> str:
    return json.dumps(chart.to_dict(), ensure_ascii=False)


def test_a_run_alone_costs_what_its_plan_says_and_choosing_costs_the_tuning_too():
    some = view(
        dense(4.0), dense(1.0, tuned_rates=6, tuning_seeds=2), dense(1.0, seed=1), dense("plain", tuned_rates=6)
    )
    low, high = ledger_rows(some)
    assert (low["epsilon"], low["alone"], low["tried"], low["delta"]) == (1.0, 0.999, 12, DELTA)
    # Six rates on each of two draws: six networks of one draw are one Gaussian of sigma / sqrt(6).
    expected = directly((Q, 1.1), (Q, 1.1 / math.sqrt(6)), (Q, 1.1 / math.sqrt(6)))
    assert low["charged"] == pytest.approx(expected, rel=5e-3)
    assert (high["epsilon"], high["alone"], high["charged"], high["tried"]) == (4.0, 3.996, 3.996, 0)


def test_all_runs_merge_what_shares_a_draw_across_epsilons():
    rows = (training("report 0", 1.1, 3), training("report 0", 0.7, 2), training("report 1", 1.1))
    found = all_runs(view(dense(1.0), ledger=rows))
    expected = spent([dp_sgd(Q, 1 / math.sqrt(1.1**-2 + 0.7**-2), STEPS), dp_sgd(Q, 1.1, STEPS)], DELTA)
    assert found["epsilon"] == pytest.approx(expected.epsilon)
    assert (found["networks"], found["draws"], found["delta"]) == (6, 2, DELTA)


def test_another_sample_rate_is_another_draw():
    rows = (training("report 0", 1.1), training("report 0", 1.1, sample_rate=Q / 4))
    found = all_runs(view(dense(1.0), ledger=rows))
    assert found["draws"] == 2
    assert found["epsilon"] == pytest.approx(spent([dp_sgd(Q, 1.1, STEPS), dp_sgd(Q / 4, 1.1, STEPS)], DELTA).epsilon)


def test_choices_join_and_repeats_add_up():
    chosen = {"what": "chosen", "epsilon_each": 0.1, "delta": DELTA, "times": 3}
    repeats = {"what": "repeats", "epsilon_each": 0.9, "delta": DELTA, "times": 2}
    found = all_runs(view(dense(1.0), ledger=(training("report 0", 1.1), chosen, repeats)))
    joint = spent([dp_sgd(Q, 1.1, STEPS), *[selection_event(0.1)] * 3], DELTA).epsilon
    assert found["epsilon"] == pytest.approx(joint + 2 * 0.9)
    assert found["delta"] == pytest.approx(3 * DELTA)
    assert found["networks"] == 1  # how many were repeated stays secret


def test_the_figures_of_ten_networks_on_one_draw():
    """privacy.md 4: q .073, T 400, sigma 3: ten members that share each draw cost 11.3, not 7.6."""
    common = {"sample_rate": 0.073, "steps": 400}
    one = (training("report 0", shared([3.0] * 10), 10, **common),)
    apart = tuple(training(f"report {i}", 3.0, **common) for i in range(10))
    assert all_runs(view(dense(1.0), ledger=one))["epsilon"] == pytest.approx(11.3, abs=0.1)
    assert all_runs(view(dense(1.0), ledger=apart))["epsilon"] == pytest.approx(7.6, abs=0.1)


def test_an_empty_store_waits():
    assert ledger_rows(view()) == []
    assert all_runs(view()) is None
    assert totals(view()) == ""
    assert "no finished run yet" in drawn(charts.ledger(view()))
    assert "no finished run yet" in drawn(charts.ledger(view(dense("plain"))))  # nothing private to count
    assert totals(view(dense(1.0))) == ""
    assert "not counted yet" in drawn(charts.ledger(view(dense(1.0))))


def test_the_totals_in_words_are_three_and_none_stands_for_another():
    rows = (training("report 0", 1.1, 3), training("tuning 7", 0.4, 6))
    some = view(dense(1.0, tuned_rates=6, tuning_seeds=1), dense(4.0, tuned_rates=6, tuning_seeds=1), ledger=rows)
    said, charged = totals(some), ledger_rows(some)[-1]["charged"]
    assert said.startswith("(a) a run alone: epsilon 4; ")  # of the largest epsilon
    assert f"(b) charged for choosing its learning rate: {charged:.3g}; " in said
    assert f"(c) all runs with tuning: {all_runs(some)['epsilon']:.3g}, not a releasable guarantee" in said
    chart = drawn(charts.ledger(some))
    for words in ("3.996", f"{charged:.3g}", "9 networks", "2 draws", "not a releasable", "add/remove one"):
        assert words in chart.replace('", "', " "), words
    for listed in (*free(), *not_covered()):
        assert listed.what.split()[0] in chart


def test_a_cost_that_no_accountant_can_bound_is_said(monkeypatch):
    def overflows(*given):
        raise BadInput("accountant", "PLD and RDP", "more noise")

    monkeypatch.setattr("labkit.privacy.spent", overflows)
    some = view(dense(1.0, tuned_rates=6, tuning_seeds=1), ledger=(training("report 0", 1.1),))
    assert ledger_rows(some)[0]["charged"] == all_runs(some)["epsilon"] == math.inf
    assert totals(some).count("more than PLD and RDP can bound") == 2
    assert "more than PLD and RDP" in drawn(charts.ledger(some))
