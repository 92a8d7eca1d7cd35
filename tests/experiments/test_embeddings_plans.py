"""Plans of a stream: one noise and one delta for all months, with which no month costs more than its epsilon."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from dp_accounting import GaussianDpEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from small_embeddings import EXPERIMENT, composed, jobs

from labkit.experiments.embeddings import chosen
from labkit.experiments.embeddings.lab import Ground, Stretch, plans_of
from labkit.experiments.embeddings.spec import EmbeddingsSpec
from labkit.privacy import Plan, spent
from labkit.privacy.accounting import default_delta

FLIGHTS = [4286, 3798, 4599, 4574, 4621, 4395, 4748, 4729, 4412]  # units of the months of flights-60k


def stream(**changes: object) -> EmbeddingsSpec:
    return jobs(order="months", method="dpsgd", **changes)[0].point


def agree(plans: list[Plan], units: list[int], epsilon: float) -> None:
    """What all months share, and that the dearest of them costs its epsilon and hardly less."""
    assert [plan.examples for plan in plans] == units
    assert {plan.delta for plan in plans} == {default_delta(sum(units))}
    assert len({plan.noise_multiplier for plan in plans}) == 1
    costs = [composed(plan) for plan in plans]
    assert 0.99 * epsilon < max(costs) <= epsilon
    assert max(plan.epsilon for plan in plans) <= epsilon


def test_a_month_of_one_unit_more_takes_a_step_more_and_costs_no_more_than_epsilon():
    plans = plans_of(stream(), [128, 129])
    assert [plan.steps for plan in plans] == [1, 2]
    agree(plans, [128, 129], 8)
    assert plans[0].epsilon < 0.9 * plans[1].epsilon  # the smallest month is not the dearest
    assert plans_of(stream(), [129, 128, 129]) == [plans[1], plans[0], plans[1]]


def test_the_months_of_the_flights_at_full_settings():
    points = EXPERIMENT.spec.of(preset="full", device="cpu").points()
    (point,) = (p for p in points if (p.order, p.method, p.epsilon) == (("months",), ("dpsgd",), (1.0,)))
    plans = plans_of(point, FLIGHTS)
    agree(plans, FLIGHTS, 1)
    assert plans[0].delta == pytest.approx(1 / (10 * sum(FLIGHTS)))
    assert plans[1].steps < plans[0].steps  # the smallest month, which is not the dearest here either


def test_delta_counts_the_units_of_all_months_by_hand():
    plans = plans_of(stream(batch_size=8000), [8000, 9000, 8000])
    assert [plan.delta for plan in plans] == [pytest.approx(1 / 250_000)] * 3
    assert {plan.delta for plan in plans_of(stream(delta=3e-6), [128, 129])} == {3e-6}


@pytest.mark.parametrize("frequency", ["histogram", "gumbel"])
def test_a_count_is_priced_at_the_delta_of_all_months(frequency):
    (point,) = (p.point for p in jobs(order="months", method="fest", frequency=frequency)[1:])
    months = tuple(Stretch(f"month {m}", np.zeros((8000, 1), np.int64)) for m in range(3))
    ground = Ground(SimpleNamespace(sizes=(50,)), months, {}, torch.zeros(0))
    (event,) = chosen.price(ground, point)
    assert spent(event, 1 / 240_000).epsilon == pytest.approx(0.1 * 8, rel=0.01)
    assert spent(event, 1 / 80_000).epsilon < 0.98 * 0.1 * 8


def test_what_is_charged_beside_is_part_of_every_month():
    also = (GaussianDpEvent(3.0),)
    plans = plans_of(stream(epsilon="3"), [128, 129], also)
    assert [plan.also for plan in plans] == [also, also]
    agree(plans, [128, 129], 3)


@settings(max_examples=4, deadline=None)
@given(units=st.lists(st.integers(20, 400), min_size=2, max_size=3))
def test_no_month_of_any_stream_costs_more(units):
    plans = plans_of(stream(epsilon="2"), units)
    assert {plan.delta for plan in plans} == {default_delta(sum(units))}
    assert len({plan.noise_multiplier for plan in plans}) == 1
    dearest = max(plans, key=lambda plan: plan.epsilon)
    assert 0.99 * 2 < composed(dearest) <= 2
    assert dearest.epsilon <= 2


@pytest.mark.parametrize("word", ["plain", "clipped"])
def test_months_without_noise(word):
    plans = plans_of(stream(epsilon=word), [128, 129])
    assert [(plan.private, plan.examples, plan.steps) for plan in plans] == [(False, 128, 1), (False, 129, 2)]
