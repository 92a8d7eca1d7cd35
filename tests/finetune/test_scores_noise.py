"""The law of the noise in scores of rows. Seeds are fixed; a check would raise a false alarm once in 10,000 seeds.

Tests of a variance are two-sided: half the noise breaks the promise, twice the noise breaks the price.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.scores import ABSOLUTE, GRADIENT, NOISY, NORM, READINGS, SUM, RowScores
from labkit.privacy import Plan

ROWS, INPUTS, N, STEPS, SIGMA, CLIP, RUNS = 256, 4, 400, 2, 1.3, 0.5, 12
FALSE_ALARM = 1e-4
PLAN = Plan.noised(noise_multiplier=SIGMA, examples=N, batch_size=N, steps=STEPS, clip_norm=CLIP)


@cache
def wide() -> Network:
    """One layer of 256 rows, which all are given gradients of about the same size, and a head."""
    stages = in_order([nn.Flatten(), nn.Linear(INPUTS, ROWS), nn.Linear(ROWS, 2)])
    sign = (torch.arange(ROWS) % 2 * 2 - 1).float()
    for tensor in stages.parameters():
        tensor.data.zero_()
    stages[2].weight.data.copy_(torch.stack([sign, -sign]))
    return Network("wide", stages, "2", Transform((2, 2), 1, (0.0,), (1.0,)))


def scores(reading: str, key: int, *, empty: bool = False) -> RowScores:
    """All examples are drawn in each step, and all are the same; or none has a gradient that is a number."""
    images = torch.full((N, 1, 2, 2), torch.nan) if empty else torch.ones(N, 1, 2, 2)
    y = torch.zeros(N, dtype=torch.int64)
    made = RowScores(wide(), ["1"], reading, PLAN, images, y, draw_key=1, noise_key=key, span=(0, STEPS))
    made.advance(STEPS)
    assert int(made.seen) == N * STEPS
    assert int(made.dropped) == (N * STEPS if empty else 0)
    return made


def noise_of(reading: str) -> np.ndarray:
    """Released minus noiseless scores in their own standard deviation: [runs, rows]."""
    found = []
    for key in range(RUNS):
        made = scores(reading, key)
        assert float(made.scores()["1"].min()) > 0  # far from where scores are cut off
        found.append((made.scores()["1"] - made.noiseless_scores()["1"]).numpy())
    numbers = 1 if reading == NORM else INPUTS  # a row's norm gets one number, its sum one for each of its weights
    return np.stack(found) / (SIGMA * CLIP * math.sqrt(STEPS * numbers))


def check(z: np.ndarray) -> None:
    """Standard normal and independent: variance and mean two-sided, and the law."""
    below = stats.chi2.cdf((z**2).sum(), z.size)
    assert FALSE_ALARM / 2 < below < 1 - FALSE_ALARM / 2
    assert abs(z.mean()) * math.sqrt(z.size) < stats.norm.isf(FALSE_ALARM / 2)
    assert stats.kstest(z.flatten(), "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("reading", READINGS)
def test_noise_of_a_score_is_normal_with_the_plans_deviation(reading):
    z = noise_of(reading)
    check(z)
    # Neither rows of a run nor runs share noise: the mean of a run, and of a row over runs, spreads as it should.
    check(z.mean(1) * math.sqrt(ROWS))
    check(z.mean(0) * math.sqrt(RUNS))


def test_noise_of_the_gradient_reaches_each_weight_alone():
    exact = torch.full((ROWS, INPUTS), CLIP / math.sqrt(ROWS * INPUTS) * N * STEPS, dtype=torch.float64)
    found = [scores(GRADIENT, key).released_gradient()["1.weight"].double().abs() - exact for key in range(3)]
    z = torch.stack(found).flatten(1) / (SIGMA * CLIP * math.sqrt(STEPS))
    check((z - z.mean()).numpy())  # clipped a little below the clip norm, which is no noise


@pytest.mark.parametrize("reading", [SUM, ABSOLUTE, NORM])
def test_noise_alone_is_as_often_negative_and_counts_as_zero(reading):
    """Were noise added before absolute values or norms are taken, every score would be positive."""
    found = np.stack([scores(reading, key, empty=True).scores()["1"].numpy() for key in range(RUNS)])
    assert (found >= 0).all()
    assert stats.binomtest(int((found == 0).sum()), found.size, 0.5).pvalue > FALSE_ALARM
    numbers = 1 if reading == NORM else INPUTS
    squares = (found**2).sum() / (SIGMA * CLIP) ** 2 / STEPS / numbers  # half normal: mean 1/2, variance 5/4
    assert abs(squares - found.size / 2) < stats.norm.isf(FALSE_ALARM / 2) * math.sqrt(found.size * 5 / 4)
    assert not scores(reading, 0, empty=True).noiseless_scores()["1"].any()


def test_of_noise_alone_the_noisy_reading_adds_absolute_values():
    """|z| has the mean sqrt(2 / pi) and the variance 1 - 2 / pi."""
    found = np.stack([scores(NOISY, key, empty=True).scores()["1"].numpy() for key in range(RUNS)]) / (SIGMA * CLIP)
    count = found.size * INPUTS * STEPS
    error = (found.sum() - count * math.sqrt(2 / math.pi)) / math.sqrt(count * (1 - 2 / math.pi))
    assert abs(error) < stats.norm.isf(FALSE_ALARM / 2)


@pytest.mark.parametrize("reading", [SUM, NORM])
def test_steps_and_keys_have_noise_of_their_own(reading):
    def step(key: int, first: int) -> Tensor:
        images, y = torch.ones(N, 1, 2, 2), torch.zeros(N, dtype=torch.int64)
        made = RowScores(
            wide(), ["1"], reading, PLAN, images, y, draw_key=1, noise_key=key, span=(first, first + 1)
        )  # fmt: skip
        made.advance(STEPS)
        return made.scores()["1"] - made.noiseless_scores()["1"]

    one = step(1, 0)
    assert torch.equal(one, step(1, 0))
    for other in (step(1, 1), step(2, 0)):
        assert stats.pearsonr(one, other).pvalue > FALSE_ALARM
