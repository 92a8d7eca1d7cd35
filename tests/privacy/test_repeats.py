from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from dp_accounting import GaussianDpEvent, SelfComposedDpEvent
from dp_accounting.dp_event import RepeatAndSelectDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from labkit.errors import BadInput
from labkit.privacy import spent
from labkit.privacy.accountants import rdp_epsilon
from labkit.privacy.calibration import least_noise
from labkit.privacy.events import dp_sgd, parts
from labkit.privacy.repeats import (
    GEOMETRIC,
    LOGARITHMIC,
    POISSON,
    base_plan,
    draw_repeats,
    noisy_score,
    plan_repeats,
    repeats_event,
)

COMMON = {"examples": 3500, "batch_size": 256, "steps": 400, "clip_norm": 1.0}


def draws(mean: float, shape: float, times: int, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return np.array([draw_repeats(mean, shape, generator) for _ in range(times)])


def law(mean: float, shape: float, k: np.ndarray) -> np.ndarray:
    """Definition 1 of 2110.03620, with gamma found by bisection on the mean summed term by term."""
    terms = np.arange(1, 5000)

    def of(gamma: float, at: np.ndarray) -> np.ndarray:
        if shape == 0:
            return (1 - gamma) ** at / at / math.log(1 / gamma)
        log = special.gammaln(at + shape) - special.gammaln(shape) - special.gammaln(at + 1)
        return np.exp(log + at * np.log1p(-gamma)) / (gamma**-shape - 1)

    low, high = 1e-9, 1 - 1e-9
    for _ in range(200):
        gamma = (low + high) / 2
        low, high = (gamma, high) if (terms * of(gamma, terms)).sum() > mean else (low, gamma)
    return of(gamma, k)


def test_by_hand():
    assert (draws(1.0, GEOMETRIC, 20) == 1).all()  # one repeat on average is one repeat
    assert (draws(1.0, LOGARITHMIC, 20) == 1).all()
    assert draws(3.0, POISSON, 400).min() == 0  # e^-3 = 5 % of Poisson numbers are 0; the others never are
    assert draws(1.2, GEOMETRIC, 400).min() == 1


@pytest.mark.parametrize("shape", [LOGARITHMIC, 0.5, GEOMETRIC, 3.0, POISSON])
def test_the_number_s_distribution(shape):
    # A correct program fails for 1 in 1,000 seeds, each.
    drawn = draws(10.0, shape, 5000)
    k = np.arange(0 if shape == POISSON else 1, 41)
    p = stats.poisson(10).pmf(k) if shape == POISSON else law(10.0, shape, k)
    if shape == GEOMETRIC:
        assert p == pytest.approx(0.1 * 0.9 ** (k - 1), rel=1e-6)
    p = np.append(p, 1 - p.sum())
    counts = np.append([(drawn == one).sum() for one in k], (drawn > 40).sum())
    kept = 5000 * p >= 5
    observed, expected = ([*x[kept], x[~kept].sum()] for x in (counts, 5000 * p))
    if expected[-1] < 5:
        observed, expected = ([*x[:-2], x[-2] + x[-1]] for x in (observed, expected))
    assert stats.chisquare(observed, np.array(expected) * (sum(observed) / sum(expected))).pvalue > 1e-3


@settings(max_examples=30, deadline=None)
@given(
    mean=st.floats(1, 1e4),
    shape=st.one_of(st.floats(1e-3, 100), st.sampled_from([0.0, math.inf])),
    seed=st.integers(0, 2**32),
)
def test_every_draw_is_a_number_of_repeats(mean, shape, seed):
    drawn = draw_repeats(mean, shape, torch.Generator().manual_seed(seed))
    assert drawn >= (0 if shape == math.inf else 1)
    assert drawn == draw_repeats(mean, shape, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("mean", "shape"), [(500.0, 20.0), (5000.0, 100.0), (300.0, 1e-3), (10_000.0, GEOMETRIC)])
def test_large_numbers_have_the_stated_mean(mean, shape):
    # 4 standard errors of 400 draws: a correct program fails for about 1 in 10,000 seeds, each.
    drawn = draws(mean, shape, 400)
    assert abs(drawn.mean() - mean) < 4 * drawn.std() / 20


@pytest.mark.parametrize(("shape", "stated"), [(LOGARITHMIC, 1.76), (GEOMETRIC, 2.12), (POISSON, 2.31)])
def test_the_stated_figures(shape, stated):
    """A base run of epsilon 1 by RDP (q 256 / 3,500, 400 steps, delta 1e-5), ten repeats on average."""
    sigma = least_noise(lambda s: rdp_epsilon(parts([dp_sgd(256 / 3500, s, 400)]), 1e-5), 1.0, 6.0, 1e-4)
    base = dp_sgd(256 / 3500, sigma, 400)
    found = spent(RepeatAndSelectDpEvent(base, 10.0, shape), 1e-5)
    assert found.accountant == "RDP"
    assert found.epsilon == pytest.approx(stated, abs=0.006)
    assert rdp_epsilon(parts([SelfComposedDpEvent(base, 10)]), 1e-5) == pytest.approx(3.53, abs=0.006)


@pytest.mark.parametrize("shape", [LOGARITHMIC, GEOMETRIC, POISSON])
@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_the_whole_costs_at_most_epsilon(shape, epsilon):
    whole = plan_repeats(epsilon=epsilon, mean=10.0, shape=shape, **COMMON)
    oracle = RdpAccountant().compose(whole.event()).get_epsilon(whole.delta)
    assert epsilon * (1 - 1e-3) <= whole.epsilon <= epsilon
    assert whole.epsilon == pytest.approx(oracle)
    assert whole.accountant == "RDP"
    assert whole.base.epsilon < whole.epsilon
    assert whole.base.also == (GaussianDpEvent(whole.score_noise),)
    assert base_plan(epsilon=epsilon, mean=10.0, shape=shape, **COMMON) == whole.base


def test_by_theorem_2_for_one_order():
    # Geometric: the bound of order a is e_a + log(mean) / (a - 1) + 2 min over b of (1 - 1/b) e_b + log(mean) / b.
    sigma, mean, delta = 20.0, 10.0, 1e-5
    orders = np.array([1 + i / 10 for i in range(1, 100)] + list(range(11, 64)) + [128, 256, 512, 1024])
    rdp = orders / 2 * (1 / sigma**2 + 1 / 30.0**2)
    constant = 2 * np.min((1 - 1 / orders) * rdp + math.log(mean) / orders)
    each = rdp + math.log(mean) / (orders - 1) + constant
    by_hand = np.min(each + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1))
    event = repeats_event(GaussianDpEvent(sigma), 30.0, mean, GEOMETRIC)
    assert spent(event, delta).epsilon == pytest.approx(by_hand, rel=1e-6)


def test_more_repeats_need_more_noise():
    noise = [plan_repeats(epsilon=1.0, mean=mean, **COMMON).base.noise_multiplier for mean in (1.0, 3.0, 30.0)]
    assert noise == sorted(noise)
    assert noise[0] < noise[2]


def test_the_record_has_the_whole_s_epsilon():
    whole = plan_repeats(epsilon=1.0, mean=5.0, shape=POISSON, **COMMON)
    record = json.loads(json.dumps(whole.record(), allow_nan=False))
    assert record["epsilon"] == whole.epsilon > record["base_epsilon"]
    assert record["repeats"] == {"mean": 5.0, "shape": "inf", "score_noise": 10.0}


def test_scores_have_noise_of_the_stated_size():
    # Standard deviation of 20,000 draws within 4 standard errors: a correct program fails for 1 in 16,000 seeds.
    scores = noisy_score(torch.full((20_000,), 300), 7.0, torch.Generator().manual_seed(0))
    assert scores.dtype == torch.float64
    assert abs(scores.std().item() - 7) < 4 * 7 / math.sqrt(40_000)
    assert abs(scores.mean().item() - 300) < 4 * 7 / math.sqrt(20_000)


def test_bad_input_is_named():
    for mean in (0.5, 1e5, math.nan, math.inf):
        with pytest.raises(BadInput, match="mean"):
            draw_repeats(mean, 1.0, torch.Generator())
    for shape in (-1.0, 1e-320, 1e3, math.nan):
        with pytest.raises(BadInput, match="shape"):
            plan_repeats(epsilon=1.0, mean=3.0, shape=shape, **COMMON)
    with pytest.raises(BadInput, match="score_noise"):
        plan_repeats(epsilon=1.0, mean=3.0, score_noise=0.0, **COMMON)
    with pytest.raises(BadInput, match=r"epsilon = 1.0 .* scores alone"):
        plan_repeats(epsilon=1.0, mean=3.0, score_noise=1.0, **COMMON)
    with pytest.raises(BadInput, match=r"epsilon = inf .* clipped and plain"):
        plan_repeats(epsilon=math.inf, mean=3.0, **COMMON)
