"""DP-FEST: rows chosen before the training are noised as in DP-SGD; no other row is ever read for its gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from one_unit import TABLE, drawn_rows, given_batch, norm, stub_plan, unit_gradient, weights
from scipy import stats

from labkit.embeddings.dense import DenseRows
from labkit.embeddings.frequency import public
from labkit.embeddings.mechanism import Method
from labkit.embeddings.noise import StepNoise
from labkit.embeddings.optim import Mover
from labkit.embeddings.tower import Tower

DIM, CLIP, BATCH, ROWS = 2, 0.6, 4, 8
UNITS = [[[0, 3]], [[0, 4]], [[1, 3]], [[2, 7]]]


def compact(active: torch.Tensor) -> torch.Tensor:
    places = torch.full((ROWS,), -1)
    places[active] = torch.arange(len(active))
    return places


def mechanism(table, active, sigma=1.0, key=0) -> DenseRows:
    plan = stub_plan(sigma, CLIP, BATCH)
    return DenseRows(Mover(table, "sgd", 1.0), plan, Method(name="fest"), StepNoise(key, "cpu"), active)


def tower() -> Tower:
    return Tower(2, DIM, (), generator=torch.Generator().manual_seed(1))


def test_by_hand():
    # -.5 in each slot and in the bias; what is said of row 3 is dropped before the norm is taken: |(.5, .5)| is left of
    # the first unit, which a clip norm of .5 makes .3536 each. The second unit keeps the bias alone.
    made = Tower(2, 1, (), generator=torch.Generator())
    made.flat.data.copy_(torch.tensor([1.0, 1.0, 0.0]))
    table, active = torch.zeros(ROWS, 1), torch.tensor([0, 2])
    found = given_batch([[[0, 3]], [[1, 3]]], made, table, 0.5, compact=compact(active))
    assert found.norms.tolist() == pytest.approx([math.sqrt(0.5), 0.5])
    step = DenseRows(Mover(table, "sgd", 1.0), stub_plan(0.0), Method(name="fest"), StepNoise(0, "cpu"), active)
    step.update(found, torch.zeros(1, dtype=torch.int64), 0)
    assert table.flatten().tolist() == pytest.approx([0.25 * math.sqrt(0.5) / 2, 0, 0, 0, 0, 0, 0, 0], rel=2e-4)
    assert int(step.survivors[0]) == 2


@pytest.mark.parametrize("active", [[0, 3], [1, 2, 7], list(range(ROWS))])
def test_one_unit_at_a_time_in_float64(active):
    active = torch.tensor(active)
    table = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(0))
    before, made = table.clone(), tower()
    expected = torch.zeros(ROWS, DIM, dtype=torch.float64)
    for unit in UNITS:
        one = unit_gradient(made, weights(made, table), torch.tensor(unit), torch.ones(1), active=active)
        expected += one[TABLE] * min(1.0, CLIP / norm(one))
    found = given_batch(UNITS, made, table, CLIP, compact=compact(active))
    mechanism(table, active, sigma=0.0).update(found, torch.zeros(1, dtype=torch.int64), 0)
    assert torch.allclose(table.double(), before.double() - expected / BATCH, atol=1e-4)


def test_noise_falls_on_the_chosen_rows_alone():
    # A correct program fails for 1 in 1,000 seeds.
    active, table = torch.tensor([1, 3, 6]), torch.zeros(ROWS, DIM)
    found = given_batch(UNITS, tower(), table, CLIP, compact=compact(active))
    moved, changes = drawn_rows(mechanism(table, active, sigma=2.0), found, 1000, table)
    assert moved[:, active].all()
    assert not np.delete(moved, active, 1).any()
    assert stats.kstest(changes[:, 6].ravel() * BATCH / (2.0 * CLIP), "norm").pvalue > 1e-3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 5))
def test_rows_that_were_not_chosen_keep_their_bits(seed, k):
    sizes = (3, 5)
    ids = torch.randint(0, 3, (6, 1, 2), generator=torch.Generator().manual_seed(seed))
    ids[..., 1] += 3
    active = torch.from_numpy(public(ids[:, 0].numpy(), sizes, k).rows)
    table = torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(seed))
    before = table.clone()
    found = given_batch(ids.tolist(), tower(), table, CLIP, compact=compact(active))
    mechanism(table, active).update(found, torch.zeros(1, dtype=torch.int64), 0)
    moved = (table != before).any(1).nonzero()[:, 0]
    assert moved.tolist() == active.tolist()


def test_all_rows_chosen_is_dp_sgd():
    tables = [torch.zeros(ROWS, DIM) for _ in range(2)]
    for table, active in zip(tables, (None, torch.arange(ROWS)), strict=True):
        rest = {} if active is None else {"compact": compact(active)}
        found = given_batch(UNITS, tower(), table, CLIP, **rest)
        mechanism(table, active, key=5).update(found, torch.zeros(1, dtype=torch.int64), 0)
    assert torch.allclose(*tables, atol=1e-6)
