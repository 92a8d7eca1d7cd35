"""Noise: its law, and that nobody shares it. False alarms of each statistical test: at most 1e-4, fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.privacy.noise import OS, SEEDED, draw_key, fill_normal, noise_key, normal_of_bits

ALARM = 1e-4


def filled(keys, step, size, wanted=None) -> torch.Tensor:
    out = torch.full((len(keys), size), torch.nan)
    fill_normal(out, keys, step, wanted or [True] * len(keys))
    return out


def test_by_hand_box_and_muller():
    """u = 1/2 and angles 0 and pi/2: radius sqrt(-2 ln u)."""
    bits = torch.tensor([2**30, -(2**30), 0, 2**30], dtype=torch.int32)
    radius = np.sqrt(-2 * np.log(0.5))
    assert normal_of_bits(bits).tolist() == pytest.approx([radius, 0, 0, radius], abs=1e-6)


def test_the_largest_and_the_smallest_bits_give_finite_numbers():
    bits = torch.tensor([-(2**31), 2**31 - 1, 0, -1, 0, 0, 0, 0], dtype=torch.int32)
    out = normal_of_bits(bits)[:4]
    assert out[:2].tolist() == [0, 0]
    farthest = np.sqrt(2 * 32 * np.log(2))  # 6.66: as far as the tails reach
    assert out[2:].tolist() == pytest.approx([farthest, farthest], rel=1e-6)


def test_the_numbers_are_standard_normal():
    sample = filled([11], 0, 400_000).flatten().double().numpy()
    assert stats.kstest(sample, "norm").pvalue > ALARM
    assert stats.chi2.sf((sample**2).sum(), len(sample)) > ALARM / 2
    assert stats.chi2.cdf((sample**2).sum(), len(sample)) > ALARM / 2
    beyond = int((abs(sample) > 4).sum())
    assert stats.binomtest(beyond, len(sample), 2 * stats.norm.sf(4)).pvalue > ALARM


def test_members_steps_and_places_are_independent():
    size = 100_000
    one, other = filled([1, 2], 0, size).double().numpy()
    later = filled([1], 1, size)[0].double().numpy()
    shifted = one[1:], one[:-1]
    halves = one[: size // 2], one[size // 2 :]  # the two numbers that each pair of bits makes
    for a, b in ((one, other), (one, later), shifted, halves):
        assert stats.pearsonr(a, b).pvalue > ALARM
        assert stats.pearsonr(a**2, b**2).pvalue > ALARM


def test_a_members_noise_does_not_depend_on_its_neighbours_and_can_be_repeated():
    alone = filled([5], 3, 1001)
    beside = filled([9, 5, 8], 3, 1001)
    assert torch.equal(alone[0], beside[1])
    assert not torch.equal(beside[0], beside[1])
    longer = filled([5], 3, 1001)
    assert torch.equal(alone, longer)


def test_members_without_noise_are_left_alone():
    out = filled([1, 2], 0, 10, [False, True])
    assert out[0].isnan().all()
    assert torch.isfinite(out[1]).all()


def test_keys_name_one_release_each():
    names = [(seed, run, member) for seed in range(20) for run in ("a", "b") for member in range(50)]
    keys = {noise_key(SEEDED, *name) for name in names}
    assert len(keys) == len(names)
    assert noise_key(SEEDED, 3, "a", 1) == noise_key(SEEDED, 3, "a", 1)
    assert max(keys) < 2**63
    assert len({draw_key(SEEDED, seed, "x") for seed in range(100)}) == 100
    assert max(draw_key(SEEDED, seed) for seed in range(100)) > 2**100


def test_the_operating_system_gives_another_key_every_time():
    assert noise_key(OS, 3, "a", 1) != noise_key(OS, 3, "a", 1)
    assert draw_key(OS, 3, "a") != draw_key(OS, 3, "a")
