"""Who shares a draw and noise with whom in notebook 03 (nobody), who is protected, and how canaries join."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_queries import hpo, jobs, lab, points, resources, told

from labkit.experiments.queries.lab import Lab
from labkit.experiments.queries.plans import LOGIT_BOUND, Plans, tuning_steps
from labkit.experiments.queries.planted import with_canaries
from labkit.text.canaries import plant


def keys(arm: str = "fine-tuning", epsilon: str = "3", of: str = "", seed: int = 0, **changes: object) -> tuple:
    """The draw's and the noise's key of an arm at an epsilon, in jobs of all the epsilons `of`."""
    some = Lab(jobs(epsilon=of or epsilon, seed=seed, **changes), resources())
    number = epsilon if epsilon in ("clipped", "plain") else float(epsilon)
    plan = some.plans.tuning(number) if arm in ("fine-tuning", "canaries") else some.plans.encoder(number, arm)
    return tuple(some.keys(plan, arm).values())


def test_the_same_point_repeats_its_keys():
    assert keys() == keys()
    assert keys("logit", "1") == keys("logit", "1")


def test_the_keys_do_not_depend_on_who_is_run_beside():
    assert keys(epsilon="3", of="1,3,plain") == keys(epsilon="3") == keys(epsilon="3", of="3,1")


@pytest.mark.parametrize(
    "other",
    [{"epsilon": "1"}, {"arm": "canaries"}, {"arm": "direct"}, {"arm": "direct-warm"}, {"arm": "logit"},
     {"clip_norm": 2.0}, {"learning_rate": 0.5}, {"seed": 1}, {"split_by": "document"}, {"unit": "document"},
     {"documents": 39}, {"epochs": 0.7}, {"lora_rank": 3}, {"template": "{document}?"}, {"split_seed": 1}],
    ids=str,
)  # fmt: skip
def test_what_makes_another_release_makes_another_draw_and_other_noise(other):
    draw, noise = keys()
    other_draw, other_noise = keys(**other)
    assert (draw != other_draw, noise != other_noise) == (True, True)


def test_direct_from_scratch_and_warm_share_a_plan_and_nothing_else():
    """Two releases with the same noise and another start would show the private gradients' difference."""
    assert lab().plans.encoder(3.0, "direct") == lab().plans.encoder(3.0, "direct-warm")
    assert not set(keys("direct")) & set(keys("direct-warm"))


def test_another_corpus_or_model_is_another_draw():
    some = lab()
    plan, before = some.plans.tuning(3.0), some.keys(some.plans.tuning(3.0), "fine-tuning")
    corpus = type(hpo())(**(vars(hpo()) | {"fingerprint": "0" * 64}))
    assert Lab(some.jobs, resources(corpus)).keys(plan, "fine-tuning") != before
    other = lab()
    other.language = SimpleNamespace(files=SimpleNamespace(sha256="0" * 64))
    assert other.keys(plan, "fine-tuning") != before


def test_keys_of_the_operating_system_repeat_never():
    given = [keys(noise_source="os") for _ in range(3)]
    assert all(not set(one) & set(other) for one, other in pairwise(given))


def test_a_pair_is_a_unit():
    some = lab()
    assert some.units.tolist() == [[i] for i in range(len(some.split.train))]
    assert some.plans.units == len(some.split.train) == 55


@pytest.mark.parametrize("most", [1, 2, 64])
def test_a_document_with_at_most_so_many_pairs_is_a_unit(most):
    some = lab(unit="document", max_pairs=most)
    owners = some.split.train.documents
    assert some.units.shape[1] <= most
    assert some.plans.units == len(some.units) == len(set(owners.tolist()))
    named = [{int(owners[pair]) for pair in unit if pair >= 0} for unit in some.units]
    assert sorted(owner for (owner,) in named) == sorted(set(owners.tolist()))
    pairs = some.units[some.units >= 0]
    assert len(np.unique(pairs)) == len(pairs)
    expected = np.minimum(np.bincount(owners)[np.unique(owners)], most)
    assert sorted((some.units >= 0).sum(1)) == sorted(expected)
    assert some.plans.tuning(3.0).examples == len(some.units)  # n counts documents


@pytest.mark.parametrize(("units", "delta"), [(50, 1e-5), (9_999, 1e-5), (20_000, 5e-6), (10**6, 1e-7)])
def test_delta_by_hand(units, delta):
    point = jobs(batch_size=1, direct_batch=1, logit_batch=2, epochs=1e-6)[0].point
    plans = Plans(point, units)
    assert plans.tuning(3.0).delta == pytest.approx(delta)
    assert plans.encoder(3.0, "logit").delta == pytest.approx(delta)
    asked = Plans(jobs(delta=1e-8)[0].point, 55)
    assert asked.tuning(3.0).delta == asked.encoder(3.0, "direct").delta == 1e-8


def test_plans_by_hand():
    plans = lab(epochs=3.0, clip_norm=0.5).plans
    tuning, direct, logit = plans.tuning(3.0), plans.encoder(3.0, "direct"), plans.encoder(3.0, "logit")
    assert (tuning.steps, tuning.sample_rate, tuning.clip_norm) == (14, 12 / 55, 0.5)  # 3 * 55 / 12, rounded up
    assert (direct.steps, direct.sample_rate, direct.clip_norm) == (3, 6 / 55, 0.5)
    assert logit.clip_norm == pytest.approx(16.78 * LOGIT_BOUND, rel=1e-3)  # 2 (e^2 + 1) a similarity's bound
    clipped, plain = plans.tuning("clipped"), plans.tuning("plain")
    assert not clipped.private
    assert not plain.private
    assert (clipped.clip_norm, plain.clip_norm) == (0.5, float("inf"))
    assert plans.tuning(3.0, planted=4).examples == 59


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**4), st.floats(0.01, 100))
def test_a_unit_is_drawn_as_often_as_asked(units, batch, epochs):
    point = SimpleNamespace(epochs=epochs, batch_size=batch)
    steps = tuning_steps(point, units)
    assert steps >= 1
    assert epochs * units - 1e-6 * units <= steps * batch < epochs * units + batch + 1e-6 * units


@pytest.mark.parametrize("unit", ["pair", "document"])
def test_each_copy_of_a_canary_is_a_unit_of_its_own(unit):
    some = lab(unit=unit, max_pairs=3)
    canaries = plant(some.language, len(some.split.documents), (1, 3), 2, 0)
    texts, documents, units = with_canaries(some, canaries)
    train = some.split.train
    assert [canary.repeats for canary in canaries] == [1, 1, 3, 3]
    assert len(texts) == len(documents) == len(train) + 8
    assert texts[: len(train)] == list(train.queries)
    assert np.array_equal(units[: len(some.units)], some.units)
    copies = units[len(some.units) :]
    assert copies[:, 0].tolist() == list(range(len(train), len(texts)))
    assert (copies[:, 1:] == -1).all()
    planted = [(texts[pair], documents[pair]) for pair in copies[:, 0]]
    assert planted == [(one.query, one.document) for one in canaries for _ in range(one.repeats)]


def test_half_of_them_would_be_noticed():
    """As many canaries are ranked as were asked for, each number of repeats as often."""
    found = [row["repeats"] for _, row in points(told(jobs(epsilon="plain", canaries=4)), "exposure")]
    assert sorted(found) == [1] * 4 + [3] * 4
