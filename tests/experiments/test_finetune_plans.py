"""How many steps each stage of a fine-tune has, and what they cost by another library's accountant."""

from __future__ import annotations

import math

import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from small_finetune import composed, point

from labkit.experiments.finetune.plans import Stages, plan_of, plan_without_choice, stages_of
from labkit.privacy import spent
from labkit.privacy.events import dp_sgd
from labkit.privacy.selection import selection_event


@pytest.mark.parametrize(
    ("method", "changes", "wanted"),
    [
        ("random", {}, (0, 4, 0)),  # 90 / 24 = 3.75 batches in an epoch
        ("all", {"epochs": 2.0}, (0, 8, 0)),  # 7.5
        ("magnitude", {"epochs": 0.01}, (0, 1, 0)),
        ("sparta", {"epochs": 2.0}, (0, 8, 4)),
        ("search", {"epochs": 2.0}, (0, 8, 4)),
        ("sparta_norm", {"epochs": 2.0, "warmup": "0.5"}, (2, 8, 4)),
        ("sparta_abs", {"epochs": 2.0, "warmup": "1.5"}, (6, 8, 4)),
        ("sparta", {"batch_size": 90}, (0, 1, 1)),
        ("sparta", {"batch_size": 45, "warmup": "0.01"}, (1, 2, 2)),
    ],
    ids=str,
)
def test_stages_by_hand(method, changes, wanted):
    stages = stages_of(point(method=method, **changes), 90)
    assert stages == Stages(*wanted)
    assert stages.steps == wanted[1] + wanted[2]


@settings(max_examples=60, deadline=None)
@given(st.integers(50, 20_000), st.floats(0.01, 20), st.sampled_from(["random", "sparta"]))
def test_an_image_is_drawn_as_often_as_asked(examples, epochs, method):
    stages = stages_of(point(method=method, epochs=epochs), examples)
    assert 0 <= stages.train - epochs * examples / 24 < 1 or stages.train == 1
    assert 0 <= stages.score * 24 / examples - (method == "sparta") < 24 / examples


@pytest.mark.parametrize("method", ["all", "head", "random", "magnitude"])
def test_what_does_not_choose_pays_for_training_alone(method):
    asked = point(method=method, epsilon="2")
    plan = plan_of(asked, 90)
    assert (plan.steps, plan.also, plan.sample_rate, plan.clip_norm) == (4, (), 24 / 90, 1.0)
    assert plan == plan_without_choice(asked, 90)
    assert 0.99 * 2 < composed(plan) <= 2 * 1.001


@pytest.mark.parametrize("method", ["sparta", "sparta_abs", "sparta_noisy", "sparta_norm"])
def test_scores_are_steps_of_the_plan(method):
    asked = point(method=method, epsilon="2", warmup="0.5")
    plan, free = plan_of(asked, 90), plan_without_choice(asked, 90)
    assert (plan.steps, plan.also, free.steps) == (8, (), 4)
    assert 0.99 * 2 < composed(plan) <= 2 * 1.001
    assert composed(plan, steps=4) < 0.9 * 2
    assert plan.noise_multiplier > 1.1 * free.noise_multiplier
    assert plan == plan_of(point(method="sparta", epsilon="2"), 90)  # a warm-up costs nothing more


def test_a_search_pays_for_its_choice_as_well():
    """Steps by the oracle's composition; the choice is composed beside them, and everything stays within epsilon."""
    asked = point(method="search", epsilon="2")
    plan, free = plan_of(asked, 90), plan_without_choice(asked, 90)
    (event,) = plan.also
    assert event == selection_event(0.2)
    assert plan.steps == 8
    together = spent([dp_sgd(24 / 90, plan.noise_multiplier, 8), event], plan.delta).epsilon
    assert 0.99 * 2 < plan.epsilon <= 2
    assert plan.epsilon == pytest.approx(together)
    # An upper bound that knows nothing of the choice but its epsilon, and a lower one that leaves it out.
    assert composed(plan) < plan.epsilon <= composed(plan) + 0.2 + 1e-3
    assert plan.noise_multiplier > plan_of(point(method="sparta", epsilon="2"), 90).noise_multiplier
    assert free == plan_without_choice(point(method="sparta", epsilon="2"), 90)


def test_more_candidates_cost_no_noise():
    few, many = (plan_of(point(method="search", epsilon="2", budget=budget), 90) for budget in (2, 1000))
    assert few == many


@pytest.mark.parametrize("method", ["random", "sparta", "search"])
@pytest.mark.parametrize("word", ["clipped", "plain"])
def test_words_have_no_guarantee(method, word):
    plan = plan_of(point(method=method, epsilon=word, noise_source="os"), 90)
    assert not plan.private
    assert (plan.epsilon, plan.also) == (None, ())
    assert plan.clip_norm == (1.0 if word == "clipped" else math.inf)
    assert plan.steps == stages_of(point(method=method), 90).steps


def test_delta_and_noise_source_are_the_points():
    assert plan_of(point(delta=1e-4), 90).delta == 1e-4
    assert plan_of(point(), 90).delta == 1e-5
    assert plan_of(point(batch_size=10_000), 20_000).delta == 1 / 200_000
    assert [plan_of(point(noise_source=source), 90).noise_source for source in ("seeded", "os")] == ["seeded", "os"]


def test_the_oracle_is_another_than_the_plans():
    accountant = PLDAccountant()
    accountant.compose(PoissonSampledDpEvent(24 / 90, GaussianDpEvent(1.0)), 4)
    assert accountant.get_epsilon(1e-5) == pytest.approx(spent([dp_sgd(24 / 90, 1.0, 4)], 1e-5).epsilon, rel=0.01)
