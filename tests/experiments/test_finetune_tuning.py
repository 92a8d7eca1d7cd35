"""Learning rates of notebook 05: tried on a seed that nobody reports, judged on the selection split, and charged."""

from __future__ import annotations

import pytest
import torch
from small_finetune import (
    N,
    checkpoint,
    chunk,
    finish,
    jobs,
    kept,
    lab,
    patched,
    points,
    recorded,
    results,
    run_until,
    spec,
    told,
)

from labkit.charts.frontier_ledger import ledger_rows
from labkit.experiments.finetune import choosing, reached, training, tuning
from labkit.experiments.finetune.lab import draw_label
from labkit.experiments.finetune.plans import plan_of
from labkit.experiments.finetune.tuning import tuned_as
from labkit.finetune.scores import RowScores
from labkit.privacy import PrivateTrainer, shared, spent
from labkit.privacy.events import dp_sgd
from labkit.runs import Store, worker
from labkit.runs.events import Progress

TUNED = {"learning_rate": "tuned", "rates": "0.1,0.4,2"}


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched():
        yield


@pytest.fixture
def begun(monkeypatch) -> list[PrivateTrainer]:
    return recorded(monkeypatch)


def test_each_rate_is_tried_on_another_seed_than_any_that_is_reported(begun):
    told(jobs(**TUNED, method="random"))
    tried, last = begun
    assert (tried.rate * 24).tolist() == pytest.approx([0.1, 0.4, 2])
    bench = lab(jobs(**TUNED, method="random"))
    label = draw_label(bench, bench.point)
    assert tried.draw_keys == (tried.plan.draw_key(2**31, label),)
    assert last.draw_keys == (last.plan.draw_key(0, label),)
    assert len({*tried.noise_keys, *last.noise_keys}) == 4
    assert max(spec(seed=2**31 - 1).replicate_seeds()) < tuning.SEED
    told(jobs(**TUNED, method="random", split_seed=3))
    assert begun[2].draw_keys != tried.draw_keys


@pytest.mark.parametrize("best", [0.1, 0.4, 2.0])
def test_the_rate_with_the_largest_selection_accuracy_is_taken(begun, monkeypatch, best):
    """And the test split has no say; of equal ones the smaller."""
    made = reached.scored

    def judged(tail, own, k, x, y):
        accuracy, loss = made(tail, own, k, x, y)
        if len(begun) == 1:  # the tuning's
            rate = float(begun[0].rate[k]) * 24
            accuracy = (0.9 if rate >= best - 1e-6 else 0.5) if len(y) == 40 else 1 - rate / 10
        return accuracy, loss

    monkeypatch.setattr(training, "scored", judged)
    (values,) = results(told(jobs(**TUNED, method="random"))).values()
    assert (values["learning_rate"], values["tuned_rates"], values["tuning_seeds"]) == (best, 3, 1)
    assert float(begun[1].rate[0]) == pytest.approx(best / 24)


def test_what_is_tried_for_a_point():
    """Rows as random ones at one sparsity, layer by layer and at the start; methods of fixed size as they are."""
    made = spec(**TUNED, method="head,sparta,search", sparsity="0.5,0.9", scope="global,layer", warmup="0.5,0").points()
    for point in made:
        like = tuned_as(point)
        assert (like.epsilon, like.learning_rate) == (point.epsilon, "tuned")
        asked = (like.method, like.sparsity, like.scope, like.warmup)
        fixed = point.method == ("head",)
        assert asked == ((("head",), (0.0,)) if fixed else (("random",), (0.8,))) + (("layer",), (0.0,))


def test_tuning_pays_for_no_choice_of_rows(begun):
    told(jobs(**TUNED, method="sparta,search"))
    assert begun[0].count == 3
    assert not isinstance(begun[0], RowScores)
    assert sum(isinstance(trainer, RowScores) for trainer in begun) == 2
    assert {plan.steps for plan in begun[0].plans} == {4}
    taken = {float(rate) * 24 for trainer in begun[1:] if not isinstance(trainer, RowScores) for rate in trainer.rate}
    assert len(taken) == 1  # all choices of rows take the same


def test_a_rate_does_not_depend_on_the_points_beside():
    def rates(**changes: object) -> dict[tuple, float]:
        some = jobs(**TUNED | changes)
        found = results(told(some))
        fields = ("epsilon", "method", "sparsity")
        return {
            tuple(getattr(job.point, name)[0] for name in fields): found[place]["learning_rate"]
            for place, job in enumerate(some)
        }

    few = rates(method="sparta")
    many = rates(method="lora,search,sparta,all", sparsity="0.6,0.3", epsilon="8,2,plain", seeds=2)
    assert all(many[point] == rate for point, rate in few.items())
    assert len(set(many.values())) > 1


def test_only_the_ledger_of_the_tuning_is_told():
    some = jobs(**TUNED, method="all")
    events = told(some)
    assert len(points(events, "curve")) == 2 * 2
    assert len(points(events, "spent")) == 2
    rows = [row for _, row in points(events, "ledger")]
    sigma = plan_of(some[0].point, N).noise_multiplier
    assert [row["noise_multiplier"] for row in rows] == [sigma] * (2 * 3 + 2)
    groups = [row["group"] for row in rows]
    assert len(set(groups)) == 2  # one draw of the tuning's seed for all kinds, one of the reported one's
    assert not any("tuned_rates" in v for v in results(told(jobs(method="all"))).values())


def test_a_winner_is_charged_for_the_rates_that_were_tried(tmp_path):
    with Store(tmp_path) as store:
        view = finish(store, **TUNED, method="all,sparta")
    (row,) = ledger_rows(view)
    sigma = view.results()[0]["noise_multiplier"]
    tuned = dp_sgd(24 / N, shared([sigma] * 3), 4)
    wanted = spent([dp_sgd(24 / N, sigma, 4), tuned], 1e-5).epsilon
    assert row["charged"] == pytest.approx(wanted)
    assert (row["alone"], row["tried"], row["unit"]) == (view.results()[0]["epsilon_spent"], 3, "example")
    assert "epsilon" in view.experiment.totals(view)


@pytest.mark.parametrize("source", ["seeded", "os"])
@pytest.mark.parametrize(
    "ends",
    [checkpoint('"learning_rate":"tuned"', 1), chunk("ended "), chunk("trained "), checkpoint("training-sparta", 1)],
    ids=["begun", "ended", "told", "training"],
)
def test_a_tuned_run_that_was_stopped(tmp_path, monkeypatch, ends, source):
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
    for module in (training, choosing):
        monkeypatch.setattr(module, "STRIDE", 1)
    changes = TUNED | {"method": "sparta", "noise_source": source}
    with Store(tmp_path / "whole") as store:
        whole = kept(finish(store, **changes))
    with Store(tmp_path / "stopped") as store:
        run_until(store, ends, **changes)
        rows, series = kept(finish(store, **changes))
    assert (rows, series) == whole or source == "os"
    assert len(series["ledger"]) <= len(whole[1]["ledger"]) + 3
    assert all(row["epsilon_spent"] <= 8 or row["executions"] == 2 for row in rows)


def test_a_tuned_run_is_expected_with_its_rates():
    events = [e for _, e in told(jobs(**TUNED, method="sparta")) if isinstance(e, Progress)]
    assert events[-1].done == events[-1].total == 3 * 4 + 4 + 8  # three rates of random rows, random rows and sparta


def test_the_tuning_has_a_head_of_its_own(begun):
    told(jobs(**TUNED, method="head"))
    bench = lab()
    tried = bench.head(tuning.SEED)
    assert not torch.equal(tried["6.weight"], bench.head(0)["6.weight"])
