"""Replicates of one epsilon run together: who trains where, paired how, and resumed how."""

from __future__ import annotations

import math

import pytest
import torch
from small_frontier import DENSE_SIZE, EXPERIMENT, HALF_SIZE, batch, chunks, digits, jobs, points, results, spec, told

from labkit.experiments.frontier import training
from labkit.experiments.frontier.arms import Arm, Network
from labkit.experiments.frontier.batch import small, thinned
from labkit.experiments.frontier.spec import SIMULATED
from labkit.experiments.frontier.tuning import tuning_seeds
from labkit.population import MLP, weights_per_member
from labkit.runs import RunKey, Store, Worker
from labkit.search import NodeSpace, WeightSpace

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


@pytest.mark.parametrize(("width", "sparsity"), [(8, 0.5), (16, 0.9), (64, 0.95), (33, 0.3)])
def test_the_small_network_is_the_nearest_in_size(width, sparsity):
    dense = MLP((64, width, width, 10))
    assert small(dense, "nodes", sparsity).widths == (
        64, *[NodeSpace(dense, sparsity, 0).candidates(dense.init([0]), [0]).arch.widths[1]] * 2, 10
    )  # fmt: skip
    target = WeightSpace(dense, sparsity, 0).parameters()
    found = abs(weights_per_member(small(dense, "weights", sparsity).shapes()) - target)
    others = [abs(weights_per_member(MLP((64, w, w, 10)).shapes()) - target) for w in range(1, width + 1)]
    assert found == min(others)


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


def test_arms_share_draws_and_never_noise(monkeypatch):
    """Over every network of two epsilons, tuning and losing repeats included."""
    seen: list[tuple] = []
    made = training.trainer_of

    def spy(batch, arch, some):
        seen.extend((batch, network) for network in some)
        return made(batch, arch, some)

    monkeypatch.setattr(training, "trainer_of", spy)
    for epsilon in ("2", "3"):
        told(jobs(epsilon=epsilon, repeats=4, sparsity="0,0.5,0.25"))
    assert len({(some.plans.epsilon, network) for some, network in seen}) == len(seen) > 100
    assert len({some.noise_key(network) for some, network in seen}) == len(seen)
    draws: dict[tuple, set[int]] = {}
    for some, network in seen:
        own = network.draw or network.arm.kind == SIMULATED
        draws.setdefault((network.seed, own), set()).add(some.draw_key(network))
    assert all(len(keys) == 1 for keys in draws.values())
    assert len(set.union(*draws.values())) == len(draws)  # others' draws are others
    tuned_on, reported = ({n.seed for _, n in seen if n.purpose == what} for what in ("tuning", "report"))
    assert tuned_on == set(tuning_seeds(seen[0][0]))
    assert reported == {0, 1}
    assert min(tuned_on) >= 2**32  # beyond what a Spec may name


@pytest.mark.parametrize(
    ("epsilon", "changes"),
    [("2", {"delta": 1e-6})]
    + [
        ("clipped", change)
        for change in ({"clip_norm": 2}, {"width": 9}, {"split_seed": 1}, {"thin_class": "3"}, {"steps": 7})
    ],
)
def test_another_mechanism_under_the_same_seed_has_other_noise(epsilon, changes):
    """The difference of two releases with one noise and two scales is the private gradient."""
    keys = []
    for some in (batch(epsilon=epsilon), batch(epsilon=epsilon, **changes)):
        keys.append(some.noise_key(Network(Arm("dense", some.plans.training), 0, 0.5)))
    assert keys[0] != keys[1]


def test_the_simulation_has_a_quarter_of_batch_and_noise():
    plans = batch(batch_size=40).plans
    assert plans.simulated.batch_size == 10
    assert plans.simulated.noise_multiplier == pytest.approx(plans.training.noise_multiplier / 4)
    assert plans.simulated.steps == plans.training.steps
    assert plans.simulated.clip_norm == plans.training.clip_norm
    odd = batch(batch_size=30).plans  # 7 of 30: the ratio of batch and noise is kept, not the quarter
    assert odd.simulated.noise_multiplier / 7 == pytest.approx(odd.training.noise_multiplier / 30)


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


def test_a_tenth_of_one_class_stays():
    held, point = digits(), spec(thin_class="3")
    train = thinned(held.train, point, held.classes)
    before, after = (torch.bincount(part.y, minlength=10) for part in (held.train, train))
    assert after[3] == round(0.1 * int(before[3]))
    others = torch.arange(10) != 3
    assert torch.equal(after[others], before[others])
    assert torch.equal(train.x[train.y != 3], held.train.x[held.train.y != 3])
    assert thinned(held.train, spec(), held.classes) is held.train
    some = batch(thin_class="3")
    assert some.plans.training.examples == len(train) < len(held.train)
    assert some.data.test.y.equal(held.test.y)  # only the training is thinned
    assert some.data.selection.y.equal(held.selection.y)
