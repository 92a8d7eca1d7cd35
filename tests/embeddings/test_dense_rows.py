"""DP-SGD on tables: noise on every row, touched or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_unit import drawn_rows, given_batch, stub_plan
from scipy import stats

from labkit.embeddings.dense import DenseRows, weighted_slots
from labkit.embeddings.mechanism import Method
from labkit.embeddings.noise import StepNoise
from labkit.embeddings.optim import Mover
from labkit.embeddings.tower import Tower

DIM, CLIP, BATCH = 2, 0.8, 4


def mechanism(table, sigma=1.0, key=0, rate=1.0, optimizer="sgd") -> DenseRows:
    return DenseRows(
        Mover(table, optimizer, rate), stub_plan(sigma, CLIP, BATCH), Method(name="dpsgd"), StepNoise(key, "cpu")
    )


def batch(table, ids=None):
    ids = ids or [[[0, 3]], [[0, 4]], [[1, 3]]]
    tower = Tower(len(ids[0][0]), DIM, (), generator=torch.Generator().manual_seed(1))
    return given_batch(ids, tower, table, CLIP)


def test_by_hand():
    # Weights 1, table 0: -.5 in each slot and in the bias, norm sqrt(.75), no clip; a batch of four, a rate of 2.
    tower, table = Tower(2, 1, (), generator=torch.Generator()), torch.zeros(6, 1)
    tower.flat.data.copy_(torch.tensor([1.0, 1.0, 0.0]))
    made = DenseRows(Mover(table, "sgd", 2.0), stub_plan(0.0), Method(name="dpsgd"), StepNoise(0, "cpu"))
    made.update(given_batch([[[0, 3]], [[0, 4]]], tower, table, 1.0), torch.zeros(1, dtype=torch.int64), 0)
    assert table.flatten().tolist() == [0.5, 0, 0, 0.25, 0.25, 0]
    assert made.deviation == 0
    assert int(made.survivors[0]) == 6
    assert int(made.touched[0]) == -1


def test_every_number_of_every_row_has_the_plans_noise():
    # A correct program fails for 3 in 1,000 seeds.
    table, sigma = torch.zeros(8, DIM), 1.7
    found = batch(table)
    moved, changes = drawn_rows(mechanism(table, sigma), found, 1500, table)
    assert moved.all()
    sums = torch.zeros(8, DIM).index_add_(0, found.rows.view(-1), weighted_slots(found)).numpy()
    assert (np.abs(sums[[0, 1, 3, 4]]).max(1) > 0.05).all()
    noise = (-changes * BATCH - sums) / (sigma * CLIP)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    # Of a touched row and of another one alike, and each its own.
    assert stats.ks_2samp(noise[:, 0].ravel(), noise[:, 7].ravel()).pvalue > 1e-3
    assert stats.pearsonr(noise[:, 0].ravel(), noise[:, 7].ravel()).pvalue > 1e-3


def test_a_lost_unit_leaves_nothing_behind():
    table = torch.zeros(8, DIM)
    table[4] = torch.nan
    weighted = weighted_slots(batch(table))
    assert weighted.isfinite().all()
    assert (weighted.view(3, 2, DIM)[1] == 0).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_optimisers_against_pytorch(optimizer):
    reference = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}[optimizer]
    start = torch.randn(9, DIM, generator=torch.Generator().manual_seed(0))
    whole, rows, expected = start.clone(), start.clone(), start.clone().requires_grad_()
    by_all, by_rows, oracle = (
        Mover(whole, optimizer, 0.3),
        Mover(rows, optimizer, 0.3),
        reference([expected], lr=0.3),
    )
    for step in range(4):
        generator = torch.Generator().manual_seed(step + 1)
        chosen = torch.randperm(9, generator=generator)[:4]
        gradient = torch.zeros(9, DIM)
        gradient[chosen] = torch.randn(4, DIM, generator=generator)
        untouched = rows.clone()
        by_rows.rows(chosen, gradient[chosen])
        by_all.all(gradient.clone())
        expected.grad = gradient
        oracle.step()
        out = [row for row in range(9) if row not in chosen.tolist()]
        assert torch.equal(rows[out], untouched[out])
        assert torch.allclose(rows, expected, atol=1e-6)
        assert torch.allclose(whole, expected, atol=1e-6)
