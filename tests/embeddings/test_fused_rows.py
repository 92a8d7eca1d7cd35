"""The CUDA kernels of embedding rows against plain PyTorch, their noise against its law, and whole trainings against
the CPU's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.embeddings.optim import ADAGRAD, SGD, Mover
from labkit.embeddings.rows import RowMap

pytestmark = pytest.mark.gpu

FALSE_ALARM = 1e-6  # of each statistical test below


@pytest.fixture(scope="module")
def fused():
    from labkit.embeddings import fused_rows

    return fused_rows


def on(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, device="cuda")


def is_normal(z: torch.Tensor) -> None:
    numbers = z.flatten().double().cpu().numpy()
    assert stats.kstest(numbers, "norm").pvalue > FALSE_ALARM
    assert len(np.unique(numbers)) > 0.99 * len(numbers)


def test_added_noise_is_normal_and_belongs_to_key_step_and_part(fused):
    def noise(key: int, step: int, part: int) -> torch.Tensor:
        out = torch.zeros(10_001, device="cuda")
        fused.add_normal(out, 1.0, key=on(key), step=on(step), part=part)
        return out

    one = noise(5, 3, 0)
    is_normal(one)
    assert torch.equal(one, noise(5, 3, 0))
    for other in (noise(6, 3, 0), noise(5, 4, 0), noise(5, 3, 1)):
        is_normal(other)
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 5 / math.sqrt(10_001)
    twice = torch.ones(10_001, device="cuda")
    fused.add_normal(twice, 2.0, key=on(5), step=on(3), part=0)
    assert torch.allclose(twice, 1 + 2 * one)


@pytest.mark.parametrize("optimizer", [SGD, ADAGRAD])
@pytest.mark.parametrize("dim", [1, 6, 64])
def test_kept_rows_move_as_the_optimiser_says_and_no_others(fused, optimizer, dim):
    generator = torch.Generator("cuda").manual_seed(0)
    rows = torch.randperm(500, generator=generator, device="cuda")[:100]
    keep = torch.rand(100, generator=generator, device="cuda") < 0.4
    sums = torch.randn(100, dim, generator=generator, device="cuda")
    table = torch.randn(500, dim, generator=generator, device="cuda")
    ours, theirs = Mover(table.clone(), optimizer, 0.3), Mover(table.clone(), optimizer, 0.3)
    for step in range(3):
        fused.move_rows(ours, rows, keep, sums, 0.0, 7, key=on(1), step=on(step))
        theirs.rows(rows[keep], sums[keep] / 7)
    assert torch.allclose(ours.weights, theirs.weights, atol=1e-6)
    still = torch.ones(500, dtype=torch.bool, device="cuda")
    still[rows[keep]] = False
    assert torch.equal(ours.weights[still], table[still])


def test_moved_rows_get_normal_noise_of_their_own(fused):
    mover, rows = Mover(torch.zeros(20_000, 6, device="cuda"), SGD, 0.5), torch.arange(20_000, device="cuda")
    keep = rows % 2 == 0
    fused.move_rows(mover, rows, keep, None, 3.0, 10, key=on(9), step=on(1))
    is_normal(mover.weights[keep] * 10 / (3.0 * 0.5))
    assert not mover.weights[~keep].any()


def test_slots_add_up_at_their_owner(fused):
    from labkit.embeddings.unit_gradients import UnitGradients

    generator = torch.Generator("cuda").manual_seed(0)
    units, per_unit, dim = 300, 7, 6
    rows = torch.randint(0, 90, (units, per_unit), generator=generator, device="cuda")
    real = torch.rand(units, per_unit, generator=generator, device="cuda") < 0.8
    slots = torch.randn(units, per_unit, dim, generator=generator, device="cuda")
    factors = torch.rand(units, generator=generator, device="cuda")
    factors[:3], slots[:3] = 0, math.nan  # dropped units hold anything
    blank = torch.zeros(units, device="cuda")
    found = UnitGradients(rows, real, real, slots, factors, blank, blank, blank, blank)
    flat, there = rows.view(-1), real.view(-1)
    owner = RowMap(90, "cuda").claim(flat, there)
    keep = (flat % 3 == 0) & (owner == torch.arange(len(flat), device="cuda"))
    sums = torch.zeros(len(flat), dim, device="cuda")
    fused.add_slots(sums, owner.int(), keep, found)
    wanted = torch.zeros(90, dim, dtype=torch.float64, device="cuda")
    weighted = (slots.double() * factors.double()[:, None, None]).nan_to_num(0).flatten(0, 1)
    wanted.index_add_(0, flat[there], weighted[there])
    assert bool(keep.any())
    assert torch.allclose(sums[keep].double(), wanted[flat[keep]], atol=1e-5)
    assert not sums[~keep].any()


def test_what_is_owed_is_paid_by_its_root(fused):
    table, rows = torch.zeros(30_000, 5, device="cuda"), torch.arange(30_000, device="cuda")
    owed = (rows % 3 * 8).int()  # 0, 8 or 16 steps
    fused.pay(table, rows, owed, 0.5, key=on(2), step=on(4))
    assert not table[owed == 0].any()
    for steps in (8, 16):
        is_normal(table[owed == steps] / (0.5 * math.sqrt(steps)))
