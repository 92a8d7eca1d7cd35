"""The CUDA kernels that choose rows against plain PyTorch, and their random choices against their law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.embeddings.rows import RowMap
from labkit.embeddings.survivors import padded_false, tail
from labkit.embeddings.unit_gradients import UnitGradients

pytestmark = pytest.mark.gpu

FALSE_ALARM = 1e-6  # of each statistical test below


@pytest.fixture(scope="module")
def selection():
    from labkit.embeddings import fused_selection

    return fused_selection


def on(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, device="cuda")


@pytest.mark.parametrize("chance", [1e-4, 0.02, 0.5])
def test_false_rows_are_a_coin_for_each_row(selection, chance):
    threshold = float(stats.norm.isf(chance))
    rows, steps = 40_000, 200
    places, p = padded_false(rows, threshold), tail(threshold)
    scale, full, told = selection.gap_scale(p, torch.device("cuda")), on(0), torch.zeros(steps, device="cuda").long()
    counts, seen, held = [], torch.zeros(rows, device="cuda"), RowMap(rows, "cuda")
    for step in range(steps):
        found, there = selection.false_rows(held, places, p, scale, told, key=on(3), step=on(step), full=full)
        chosen = found[there]
        assert bool((chosen.diff() > 0).all())
        counts.append(len(chosen))
        seen[chosen] += 1
    assert not int(full)
    assert told.tolist() == counts
    total = sum(counts)
    assert stats.binomtest(total, rows * steps, p).pvalue > FALSE_ALARM
    spread = np.var(counts, ddof=1) * (steps - 1) / (rows * p * (1 - p))
    assert FALSE_ALARM < stats.chi2.cdf(spread, steps - 1) < 1 - FALSE_ALARM
    cells = seen.view(40, -1).sum(1).cpu().numpy()
    assert stats.chisquare(cells).pvalue > FALSE_ALARM


def test_all_rows_at_chance_one_but_those_that_are_touched(selection):
    held, told = RowMap(7, "cuda"), on(0)
    held.first[torch.tensor([2, 5], device="cuda")] = 0
    full, scale = on(0), selection.gap_scale(1.0, torch.device("cuda"))
    every, there = selection.false_rows(held, 7, 1.0, scale, told, key=on(1), step=on(0), full=full)
    assert every[there].tolist() == [0, 1, 3, 4, 6]
    assert int(told) == 5
    assert not int(full)


def test_a_buffer_that_is_too_short_is_noticed(selection):
    full, scale = on(0), selection.gap_scale(0.5, torch.device("cuda"))
    selection.false_rows(RowMap(1000, "cuda"), 5, 0.5, scale, on(0), key=on(1), step=on(0), full=full)
    assert int(full) == 1


@pytest.mark.parametrize("l1", [False, True])
def test_votes_without_noise_choose_the_rows_with_enough(selection, l1):
    found = made_up(units=200, per_unit=7, rows=60)
    held, counts = RowMap(60, "cuda"), (on(-1, -1), on(-1, -1))
    owner, keep = selection.select(
        held, found, counts, map_clip=1.0, l1=l1, deviation=0.0, limit=3.3, key=on(1), step=on(1)
    )
    wanted = torch.zeros(60, dtype=torch.float64)
    for unit in range(200):
        rows = set(found.rows[unit][found.real[unit]].tolist())
        for row in rows:
            wanted[row] += float(found.weight[unit]) / (len(rows) if l1 else math.sqrt(len(rows)))
    flat, real = found.rows.view(-1), found.real.view(-1)
    chosen = {int(row) for row in flat[keep]}
    assert chosen == {row for row in range(60) if wanted[row] >= 3.3}
    assert 5 < len(chosen) < 55
    assert int(keep.sum()) == len(chosen)
    assert bool((flat[owner.long()][real] == flat[real]).all())
    assert counts[0].tolist() == [-1, len(chosen)]
    assert counts[1].tolist() == [-1, len(set(flat[real].tolist()))]
    assert bool(held.holds(flat[real]).all())
    selection.release(held, found)
    assert not bool(held.holds(torch.arange(60, device="cuda")).any())


def test_the_noise_of_votes_is_normal(selection):
    """One unit for each of 4,000 rows, so that a row survives with probability Q((limit - 1) / deviation)."""
    found = made_up(units=4000, per_unit=1, rows=4000, distinct=True)
    chance, kept, held = float(stats.norm.sf((2.5 - 1) / 1.7)), 0, RowMap(4000, "cuda")
    for step in range(25):
        counts = (torch.zeros(25, device="cuda").long(), torch.zeros(25, device="cuda").long())
        _, keep = selection.select(
            held, found, counts, map_clip=1.0, l1=False, deviation=1.7, limit=2.5, key=on(8), step=on(step)
        )
        kept += int(keep.sum())
        selection.release(held, found)
    assert stats.binomtest(kept, 4000 * 25, chance).pvalue > FALSE_ALARM


def made_up(units: int, per_unit: int, rows: int, distinct: bool = False):
    generator = torch.Generator("cuda").manual_seed(0)
    if distinct:
        held = torch.arange(units * per_unit, device="cuda").view(units, per_unit)
        real = torch.ones_like(held, dtype=torch.bool)
    else:
        held = torch.randint(0, rows, (units, per_unit), generator=generator, device="cuda")
        held = (held.double() ** 2 / rows).long()  # some rows are more frequent than others
        real = torch.rand(units, per_unit, generator=generator, device="cuda") < 0.8
    same = (held[:, :, None] == held[:, None, :]) & real[:, :, None] & real[:, None, :]
    blank = torch.zeros(units, device="cuda")
    first = real & ~same.tril(-1).any(2)
    weight = torch.ones(units, device="cuda")
    return UnitGradients(held, real, first, torch.zeros(units, per_unit, 4, device="cuda"), blank, weight, *[blank] * 3)
