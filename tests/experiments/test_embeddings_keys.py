"""Who shares split, start and draws with whom in notebook 04 (all that are compared), and noise with whom (nobody)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from small_embeddings import Given, jobs, lab, recorded, told

from labkit.experiments.embeddings.lab import batch_of, plans_of, steps_of

METHODS = ("dpsgd", "fest", "adafest", "adafest_plus", "lazydp")


@pytest.fixture
def begun(monkeypatch) -> list[Given]:
    return recorded(monkeypatch)


def trained(begun: list[Given], **changes: object) -> list[Given]:
    """What each training of a Spec was given."""
    before = len(begun)
    told(jobs(**changes))
    return begun[before:]


def shares(one: Given, other: Given) -> tuple[bool, bool]:
    """Whether two trainings share draws, and noise."""
    return one.draw == other.draw, one.noise == other.noise


@pytest.mark.parametrize("changes", [{}, {"noise_source": "seeded", "method": "adafest"}], ids=str)
def test_the_same_point_repeats_both(begun, changes):
    first, second = (trained(begun, **changes) for _ in range(2))
    assert all(shares(one, other) == (True, True) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    "compared",
    [{"method": ",".join(METHODS)}, {"epsilon": "8,1,3"}, {"threshold": "1,2,3", "method": "adafest"},
     {"selection_fraction": "0.1,0.9", "method": "adafest"}, {"k": "5,6", "method": "fest"},
     {"map_norm": "l2,l1", "method": "adafest"}, {"vocabulary": "0,70", "method": "lazydp"}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_is_compared_shares_draws_start_and_batches_and_never_noise(begun, compared):
    found = trained(begun, **compared)
    assert len(found) >= 2
    assert len({given.draw for given in found}) == 1
    assert len({given.noise for given in found}) == len(found)
    for one, other in pairwise(found):
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.units, other.units)
        assert torch.equal(one.start[1], other.start[1])  # the network
        if "vocabulary" not in compared:
            assert torch.equal(one.start[0], other.start[0])  # and the tables
            assert torch.equal(one.ids, other.ids)


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 1.5}, {"clip_norm": 0.2}, {"optimizer": "adagrad", "method": "fest"}, {"dim": 3},
                {"map_clip_norm": 0.5, "method": "adafest"}], ids=str,
)  # fmt: skip
def test_what_is_another_release_of_the_same_draws_has_other_noise(begun, changes):
    same = {"method": changes["method"]} if "method" in changes else {"method": ",".join(METHODS)}
    for one, other in zip(trained(begun, **same), trained(begun, **changes), strict=True):
        assert shares(one, other) == (True, False)


def test_two_learning_rates_of_one_point_share_no_noise(begun):
    """The tuning's: its trainings are of one point, whose plan and name are the same."""
    found = trained(begun, method="dpsgd", learning_rate="tuned", rates="1,2,4")
    assert [given.rate for given in found][:3] == [1, 2, 4]
    assert len({given.noise for given in found}) == 4
    assert len({given.draw for given in found[:3]}) == 1
    assert found[3].draw != found[0].draw  # another seed than any that is reported


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"split_seed": 1}, {"batch_size": 60}, {"epochs": 0.7}, {"data": "power-law:rows=401,examples=600"}],
    ids=str,
)
def test_what_is_not_paired_shares_nothing(begun, changes):
    from small_embeddings import table

    before = len(begun)
    told(jobs(method="lazydp"))
    told(jobs(method="lazydp", **changes), table(changes["data"]) if "data" in changes else None)
    (dense, lazy, *others) = begun[before:]
    for one, other in zip((dense, lazy), others, strict=True):
        assert shares(one, other) == (False, False)


def test_nothing_is_shared_with_noise_of_the_operating_system(begun):
    found = trained(begun, noise_source="os") + trained(begun, noise_source="os")
    assert len(found) == 2 * len(METHODS)
    assert len({given.noise for given in found}) == len({given.draw for given in found}) == len(found)


def test_another_seed_is_another_start(begun):
    one, other = (trained(begun, method="dpsgd", seed=seed)[0] for seed in (0, 1))
    assert not torch.equal(one.start[0], other.start[0])
    assert not torch.equal(one.start[1], other.start[1])
    assert torch.equal(one.ids, other.ids)  # the split is the split seed's
    changed = trained(begun, method="dpsgd", split_seed=1)[0]
    assert not torch.equal(one.ids, changed.ids)
    assert torch.equal(one.start[0], changed.start[0])


def test_each_method_gets_its_settings(begun):
    found = {given.method.name: given for given in trained(begun, map_clip_norm=0.5, threshold="2")}
    assert set(found) == set(METHODS)
    for name in ("adafest", "adafest_plus"):
        method = found[name].method
        assert (method.selection_fraction, method.threshold, method.map_clip, method.map_norm) == (0.5, 2, 0.5, "l2")
    assert [found[name].active is None for name in METHODS] == [True, False, True, False, True]
    assert torch.equal(found["fest"].active, found["adafest_plus"].active)


def test_plans_by_hand():
    point = lab(epochs=1.5).point(0)
    assert (batch_of(point, 420), steps_of(point, 420)) == (64, 10)  # 1.5 * 420 / 64, rounded up
    (plan,) = plans_of(point, [420])
    assert (plan.steps, plan.sample_rate, plan.clip_norm, plan.delta) == (10, 64 / 420, 0.1, 1e-5)
    assert 0.99 * 8 < plan.epsilon <= 8
    assert plans_of(lab(delta=1e-7).point(0), [420])[0].delta == 1e-7
    (clipped,), (plain,) = (plans_of(lab(epsilon=word).point(0), [420]) for word in ("clipped", "plain"))
    assert not clipped.private
    assert not plain.private
    assert (clipped.clip_norm, plain.clip_norm) == (0.1, float("inf"))


@pytest.mark.parametrize("epochs", [1e-6, 1 / 7, 0.5, 3.0])
@pytest.mark.parametrize("units", [64, 65, 1000, 9_999])
def test_a_unit_is_drawn_as_often_as_asked(units, epochs):
    point = lab(epochs=epochs).point(0)
    steps = steps_of(point, units)
    assert max(1, steps - 1) <= max(1, epochs * units / 64) <= steps + 1e-9


def test_an_example_is_a_unit():
    ground = lab().ground(lab().point(0))
    (stretch,) = ground.stretches
    assert np.array_equal(stretch.units, np.arange(420)[:, None])
