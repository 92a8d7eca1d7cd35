"""Replicates of one epsilon run together: who trains where, paired how, and resumed how."""

from __future__ import annotations

import math

import pytest
from small_frontier import DENSE_SIZE, EXPERIMENT, HALF_SIZE, batch, chunks, digits, jobs, points, results, spec, told

from labkit.experiments.frontier import training
from labkit.experiments.frontier.spec import SIMULATED
from labkit.population import MLP
from labkit.runs import RunKey, Store, Worker
from labkit.search import WeightSpace

EPSILONS = ("2", "clipped", "plain")
THIN = {"dense", "random", "small"}
CHOSEN = {"chosen-2", "chosen-3", "chosen-5"}


@pytest.fixture(scope="module")
def together():
    return {epsilon: (jobs(epsilon=epsilon), told(jobs(epsilon=epsilon))) for epsilon in EPSILONS}


def found(together, epsilon):
    some, events = together[epsilon]
    return results(events, some)


def close(one: dict, other: dict) -> bool:
    """Whether two results agree up to the rounding of another population; no image is answered otherwise."""
    return one.keys() == other.keys() and all(
        value == other[name] if isinstance(value, str) else math.isclose(value, other[name], rel_tol=1e-5, abs_tol=1e-6)
        for name, value in one.items()
    )


@pytest.mark.parametrize(
    ("epsilon", "sparsity", "space", "expected"),
    [
        ("2", 0, "nodes", {"dense", SIMULATED}),
        ("2", 0, "weights", {"dense", SIMULATED}),
        ("2", 0.5, "nodes", THIN | CHOSEN | {SIMULATED, "repeats"}),
        ("2", 0.5, "weights", THIN | {SIMULATED}),
        ("clipped", 0.5, "nodes", THIN),
        ("plain", 0, "nodes", {"dense"}),
        ("plain", 0.5, "weights", THIN),
    ],
)
def test_which_arms_stand_where(together, epsilon, sparsity, space, expected):
    for seed in (0, 1):
        there = {arm for s, w, n, arm in found(together, epsilon) if (s, w, n) == (sparsity, space, seed)}
        assert there == expected


def test_without_a_budget_nothing_is_chosen():
    some = batch(budget=1, sparsity="0.5", space="nodes")
    assert {arm.name for arm in some.arms(some.jobs[0])} == THIN | {SIMULATED, "repeats"}


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_a_replicate_alone_has_the_numbers_that_it_has_in_the_batch(together, epsilon):
    some, _ = together[epsilon]
    whole = found(together, epsilon)
    for job in (some[1], some[-4], some[-1]):
        alone = results(told([job]), [job])
        assert all(close(values, whole[key]) for key, values in alone.items())
        assert len(alone) == len([key for key in whole if key[:3] == next(iter(alone))[:3]])


def test_what_is_finished_is_not_trained_again_and_nothing_changes(together, monkeypatch):
    some, events = together["2"]
    monkeypatch.setattr(training, "trainer_of", None)  # nobody may train
    again = told(some, chunks=chunks(events))
    assert results(again, some) == results(events, some)
    assert chunks(again) == {}
    for series in ("tuning", "ledger"):
        assert points(again, series) == points(events, series)
    # The first replicate's curves were stored before its chunk; the others' are told again, whole.
    assert points(again, "spent") == []
    assert sorted(points(again, "curve"), key=str) == sorted((p for p in points(events, "curve") if p[0]), key=str)


def test_after_the_tuning_alone_only_the_training_is_repeated(together):
    some, events = together["2"]
    kept = {key: tensors for key, tensors in chunks(events).items() if key.startswith("tuning")}
    again = told(some, chunks=kept)
    assert results(again, some) == results(events, some)
    assert [key.split("-")[0] for key in chunks(again)] == ["learned"]
    assert points(again, "curve") == points(events, "curve")


def test_each_network_s_curve_is_whole(together):
    some, events = together["2"]
    curves: dict[tuple, list] = {}
    for place, row in points(events, "curve"):
        curves.setdefault((place, row["arm"]), []).append(row["step"])
    assert set(map(tuple, curves.values())) == {(3, 6)}
    assert set(curves) == {(place, "dense") for place in range(len(some))} | {
        (place, f"random-{job.point.space[0]}") for place, job in enumerate(some) if job.point.sparsity[0]
    }


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.95])
def test_stopped_and_resumed_through_a_store(tmp_path, share):
    asked = spec(epsilon="clipped", space="nodes", learning_rate="tuned")

    def load(spec, store):
        return digits()

    def kept(store):
        keys = [RunKey(row["experiment"], row["name"], row["seed"], row["device_kind"]) for row in store.replicates()]
        rows = sorted(store.results(), key=lambda row: (row["name"], row["seed"], row["arm"]))
        return rows, {key: sorted(store.points(key, s), key=str) for key in keys for s in ("curve", "tuning")}

    with Store(tmp_path / "one") as whole, Store(tmp_path / "two") as stopped:
        updates = list(Worker(EXPERIMENT, asked, whole, load=load).run())
        running = Worker(EXPERIMENT, asked, stopped, load=load).run()
        for _ in range(int(share * len(updates))):
            next(running)
        running.close()
        assert not any(row["status"] == "finished" for row in stopped.replicates())
        list(Worker(EXPERIMENT, asked, stopped, load=load).run())
        assert kept(stopped) == kept(whole)


def test_sizes(together):
    rows = found(together, "2")
    for (sparsity, space, _, arm), values in rows.items():
        expected = DENSE_SIZE if sparsity == 0 or arm in ("dense", SIMULATED) else HALF_SIZE
        if (arm, space) == ("random", "weights"):
            expected = WeightSpace(MLP((64, 8, 8, 10)), sparsity, 0).parameters() if sparsity else DENSE_SIZE
        assert values["parameters"] == expected, (sparsity, space, arm)


def test_what_was_spent_is_never_above_epsilon_and_absent_without_a_guarantee(together):
    rows = found(together, "2")
    for key, values in rows.items():
        if key[-1] == SIMULATED:
            assert "epsilon_spent" not in values
            assert "delta" not in values
        else:
            assert 1.99 < values["epsilon_spent"] <= 2
            assert values["accountant"] == ("RDP" if key[-1] == "repeats" else "PLD")
    for epsilon in ("clipped", "plain"):
        for values in found(together, epsilon).values():
            assert not {"epsilon_spent", "delta", "accountant"} & values.keys()
            assert values["noise_multiplier"] == 0
    assert all(values["clip_norm"] == 1 for values in found(together, "clipped").values())
    assert not any("clip_norm" in values for values in found(together, "plain").values())


def test_the_dense_network_is_one_network_wherever_it_stands(together):
    rows = found(together, "2")
    for arm in ("dense", SIMULATED):
        for seed in (0, 1):
            assert len({str(values) for key, values in rows.items() if key[2:] == (seed, arm)}) == 1


@pytest.mark.parametrize("rate", ["shared", "0.3"])
def test_one_learning_rate_for_all(rate, together):
    some = jobs(learning_rate=rate)
    events = told(some)
    rows = results(events, some)
    if rate == "shared":
        tuned = found(together, "2")[0.0, "nodes", 0, "dense"]["learning_rate"]
        assert all("tuned_rates" in values for key, values in rows.items() if key[-1] != SIMULATED)
    else:
        tuned = 0.3
        assert points(events, "tuning") == []
        assert not any("tuned_rates" in values for values in rows.values())
    assert {values["learning_rate"] for values in rows.values()} == {tuned}
    assert not any("test_accuracy_shared" in values for values in rows.values())


def test_beside_a_tuned_rate_stands_the_dense_network_s(together):
    rows = found(together, "2")
    dense = rows[0.0, "nodes", 0, "dense"]
    assert {values["learning_rate_shared"] for key, values in rows.items() if key[-1] != SIMULATED} == {
        dense["learning_rate"]
    }
    assert dense["test_accuracy_shared"] == dense["test_accuracy"]
    differing = [key for key, values in rows.items() if values.get("learning_rate_shared") != values["learning_rate"]]
    assert {"small", SIMULATED} & {key[-1] for key in differing}
    for key, values in rows.items():
        if key[-1] == SIMULATED:
            assert values["learning_rate"] == dense["learning_rate"]
            assert not {"test_accuracy_shared", "tuned_rates"} & values.keys()
