"""Notebook 05 with noise of the operating system: what a stop makes a run do again is charged, and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest
from small_finetune import (
    N,
    batch,
    checkpoint,
    chunk,
    composed,
    finish,
    jobs,
    patched,
    point,
    points,
    recorded,
    results,
    run_until,
    told,
)

from labkit.charts.frontier_ledger import all_runs
from labkit.experiments.finetune import choosing, training
from labkit.experiments.finetune.claims import claims
from labkit.experiments.finetune.plans import plan_of
from labkit.finetune.scores import RowScores
from labkit.privacy import PrivateTrainer, shared, spent
from labkit.privacy.events import dp_sgd
from labkit.privacy.selection import selection_event
from labkit.runs import RunKey, Store, worker

OS = {"method": "random,sparta,search", "epsilon": "2,plain", "warmup": "0.5", "noise_source": "os"}
STEPS = {"random": 4, "sparta": 8, "search": 8}


@pytest.fixture(autouse=True, scope="module")
def network():
    with patched(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "CHECKPOINT_SECONDS", 0.0)
        for module in (training, choosing):
            patch.setattr(module, "STRIDE", 1)
        yield


@pytest.fixture
def begun(monkeypatch) -> list[PrivateTrainer]:
    return recorded(monkeypatch)


def doing(words: str, step: int):
    """While a step runs: its checkpoint was not offered yet."""
    return lambda event: words in getattr(event, "what", "") and f"step {step} of" in event.what


def priced(method: str, steps: int) -> float:
    """What so many steps of a method's plan cost, its choice included."""
    plan = plan_of(point(method=method, epsilon="2"), N)
    also = [selection_event(0.2)] if method == "search" else []
    return spent([dp_sgd(plan.sample_rate, plan.noise_multiplier, steps), *also], plan.delta).epsilon


@pytest.mark.parametrize(
    ("ends", "again"),
    [
        (doing("warm-up", 2), {"sparta": 1}),  # the checkpoint of the first step is the last one
        (doing("search, seed 0: scores", 6), {"search": 3}),  # the fifth step's: a stretch from the fourth on
        (chunk("chosen ", '["search"]'), {}),
        (doing("random, seed 0: step", 2), {"random": 1}),
        (doing("sparta, seed 0: step", 4), {"sparta": 1}),
        (chunk("ended ", '["search"]'), {}),
        (chunk("trained ", '["search"]'), {}),
    ],
    ids=["warm-up", "gradient", "chosen", "random", "after a warm-up", "ended", "told"],
)  # fmt: skip
def test_what_is_done_again_is_charged(tmp_path, ends, again):
    with Store(tmp_path) as store:
        assert run_until(store, ends, **OS)
        view = finish(store, **OS)
    assert all(claim.holds for claim in claims(view)), [claim for claim in claims(view) if not claim.holds]
    rows = {row["arm"]: row for row in view.results() if row["epsilon"] == 2}
    for method, row in rows.items():
        assert row["executions"] == (2 if method in again else 1)
        if method in again:
            assert row["epsilon_spent"] == pytest.approx(priced(method, STEPS[method] + again[method]), rel=1e-3)
        assert (row["epsilon_spent"] > 2) == (method in again)
    assert len(view.series("curve")) == 2 * (2 + 1 + 2)  # looks at steps 2 and 4; after a warm-up at 4 alone
    done = Counter()
    for row in view.series("ledger"):
        if row["what"] == "training":
            done[row["method"]] += row["steps"]
    assert done == Counter(STEPS) + Counter(again)


@pytest.mark.parametrize(
    "ends", [chunk("chosen ", '["search"]'), chunk("ended ", '["search"]')], ids=["chosen", "ended"]
)
def test_a_second_stop_forgets_nothing(tmp_path, ends):
    changes = OS | {"method": "search", "epsilon": "2"}
    with Store(tmp_path) as store:
        assert run_until(store, doing("search, seed 0: scores", 6), **changes)
        assert run_until(store, ends, **changes)
        view = finish(store, **changes)
    (row,) = (row for row in view.results() if row["arm"] == "search")
    assert row["executions"] == 2
    assert row["epsilon_spent"] == pytest.approx(priced("search", 8 + 3), rel=1e-3)


@pytest.mark.parametrize("source", ["os", "seeded"])
def test_a_choice_that_is_kept_is_not_looked_for_again(tmp_path, monkeypatch, source):
    """Neither its scores nor the private choice: a second one would be paid for, and might be another one."""
    changes = OS | {"noise_source": source}
    with Store(tmp_path) as store:
        assert run_until(store, chunk("chosen ", '["search"]', '"plain"'), **changes)
        for name in ("RowScores", "PrivateTrainer", "losses_after", "choose"):
            monkeypatch.setattr(choosing, name, None)
        finish(store, **changes)


def test_a_warm_up_that_is_kept_stands_behind_the_scores(tmp_path, monkeypatch):
    """Scores that were begun at one warm-up do not go on at another, even if no checkpoint is left of it."""
    monkeypatch.setattr(worker, "CHECKPOINT_SECONDS", 1e9)
    bases, made = [], RowScores.__init__

    def record(self, *arguments, **named):
        bases.append({name: tensor.clone() for name, tensor in named["base"].items()})
        made(self, *arguments, **named)

    monkeypatch.setattr(RowScores, "__init__", record)
    changes = OS | {"method": "sparta", "epsilon": "2"}
    with Store(tmp_path) as store:
        assert run_until(store, doing("scores", 7), **changes)
        finish(store, **changes)
    one, other = bases
    assert all((one[name] == other[name]).all() for name in one)


def test_nobody_else_is_charged_for_a_stop_between_two_that_ended(tmp_path):
    changes = OS | {"method": "random", "epsilon": "8,2"}
    with Store(tmp_path) as store:
        assert run_until(store, chunk("trained "), **changes)
        view = finish(store, **changes)
    assert [row["executions"] for row in view.results()] == [1, 1]
    assert all(row["epsilon_spent"] <= row["epsilon"] for row in view.results())
    assert len(view.series("ledger")) == 2


def test_words_train_beside_on_seeded_draws(begun):
    """They have no guarantee, and another program: checkpoints of noise from the system hold no keys."""
    told(jobs(**OS))
    sources = [{plan.noise_source for plan in trainer.plans} for trainer in begun]
    assert all(len(found) == 1 for found in sources)
    for trainer, (source,) in zip(begun, sources, strict=True):
        assert ("noise_keys" in trainer.state()) == (source == "seeded")
        assert trainer.plan.private == (source == "os")


def test_nothing_is_shared_but_the_draws_of_those_trained_together(begun):
    told(jobs(**OS | {"epsilon": "2,8", "seeds": 2}))
    keys = [key for trainer in begun for key in trainer.noise_keys]
    # Each of two epsilons and seeds: sparta in three stages, search in two, random in one.
    assert len(keys) == len(set(keys)) == 4 * (3 + 2 + 1)
    draws = [key for trainer in begun for key in trainer.draw_keys]
    assert len(draws) == len(set(draws))
    (free,) = (trainer for trainer in begun if len(trainer.params) == 4 and trainer.plan.steps == 4)
    assert free.groups.tolist() == [0, 1, 0, 1]
    assert batch(free, 0, 0) == batch(free, 0, 2) != batch(free, 0, 1)


def test_keys_of_the_system_are_in_no_file(tmp_path, begun):
    with Store(tmp_path) as store:
        for words in ("warm-up", "scores", "training-random", "training-search"):
            assert run_until(store, checkpoint(words), **OS)
            states = {}
            for row in store.replicates():
                key = RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"])
                states |= store.checkpoints(key)
            assert states
        finish(store, **OS)
    held = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file() and path.name != "key")
    private = [trainer for trainer in begun if trainer.plan.private]
    for trainer in private:
        for key in trainer.noise_keys:
            assert key.to_bytes(8, "little") not in held
        for key in trainer.draw_keys:
            assert key.to_bytes(16, "little") not in held


class Ledger:
    def __init__(self, rows: list[dict]) -> None:
        self.rows = rows

    def series(self, name: str) -> list[dict]:
        return self.rows


def test_the_ledger_knows_who_shared_draws(tmp_path):
    """Two epsilons that are trained together are one event; so they are when one of them had begun alone before."""
    changes = OS | {"method": "random"}
    sigma = [plan_of(point(epsilon=epsilon), N).noise_multiplier for epsilon in ("2", "8")]
    with Store(tmp_path) as store:
        assert run_until(store, doing("random, seed 0: step", 2), **changes | {"epsilon": "2"})
        view = finish(store, **changes | {"epsilon": "2,8"})
        rows = view.series("ledger")
    together = dp_sgd(24 / N, shared(sigma), 4)
    alone = dp_sgd(24 / N, sigma[0], 2)  # what was begun of the first one up to its next look
    found = all_runs(Ledger(rows))
    assert found["draws"] == 2
    assert found["epsilon"] == pytest.approx(spent([together, alone], 1e-5).epsilon)


def test_scores_of_the_system_share_no_draws():
    rows = [row for _, row in points(told(jobs(**OS | {"method": "sparta,sparta_norm", "epsilon": "2"})), "ledger")]
    groups = Counter((row["group"], row["steps"]) for row in rows)
    assert set(groups.values()) == {1}
    assert len(groups) == 1 + 3 + 3  # random rows; warm-up, scores and training of each


def test_an_uninterrupted_run_costs_its_plan():
    some = jobs(**OS)
    for place, values in results(told(some)).items():
        if some[place].point.epsilon == (2.0,):
            plan = plan_of(some[place].point, N)
            assert (values["epsilon_spent"], values["executions"]) == (plan.epsilon, 1)
            assert plan.also or composed(plan) <= 2.001
        else:
            assert "epsilon_spent" not in values
