from __future__ import annotations

import math

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from scipy import special

from labkit.errors import BadInput
from labkit.privacy.audit.bounds import Counts, epsilon_of_mu, mu_lower
from labkit.privacy.audit.family import claim_refuted, family_lower, rates_lower, refutes

DELTA = 1e-5
PLAN = {"sample_rate": 0.07, "steps": 400, "noise_multiplier": 6.0, "delta": DELTA}


def loss_distribution(noise_multiplier: float) -> privacy_loss_distribution.PrivacyLossDistribution:
    """Of the plan with this noise."""
    one = privacy_loss_distribution.from_gaussian_mechanism(noise_multiplier, sampling_prob=0.07)
    return one.self_compose(400)


def trained(plan: dict, runs: int, noise: float, seed: int) -> Counts:
    """A canary of clip norm 1 under DP-SGD with another noise, seen at its end; the threshold is half the shift."""
    random, steps = np.random.default_rng(seed), plan["steps"]
    shift = random.binomial(steps, plan["sample_rate"], runs)
    deviation, threshold = noise * math.sqrt(steps), plan["sample_rate"] * steps / 2
    with_it, without = random.normal(shift, deviation) > threshold, random.normal(0, deviation, runs) > threshold
    return Counts(int(with_it.sum()), runs, int(without.sum()), runs)


def test_by_hand():
    # (0, delta)-private with delta .1 and nothing else known: TPR - FPR is at most .1.
    epsilons, deltas = np.array([0.0]), np.array([0.1])
    assert refutes((0.6, 0.49), deltas, epsilons)
    assert not refutes((0.6, 0.51), deltas, epsilons)
    # (ln 2, 0)-private: TPR at most 2 FPR, and 1 - FPR at most 2 (1 - TPR).
    epsilons, deltas = np.array([math.log(2)]), np.array([0.0])
    assert refutes((0.21, 0.1), deltas, epsilons)
    assert not refutes((0.19, 0.1), deltas, epsilons)
    assert refutes((0.9, 0.79), deltas, epsilons)
    assert not refutes((0.9, 0.81), deltas, epsilons)


@pytest.mark.parametrize(("hits", "alarms"), [(2766, 1234), (3600, 2800), (400, 92)])
def test_one_step_of_all_examples_is_the_gaussian(hits, alarms):
    runs = 4000
    exact = epsilon_of_mu(mu_lower(hits, runs, alarms, runs, 0.999), DELTA)
    found = family_lower(
        Counts(hits, runs, alarms, runs), sample_rate=1.0, steps=1, noise_multiplier=1.0, delta=DELTA, confidence=0.999
    )
    assert found == pytest.approx(exact, rel=0.01)


def test_the_bound_does_not_depend_on_the_noise_it_starts_from():
    rates = (0.66, 0.34)
    found = [rates_lower(rates, 0.07, 400, sigma, DELTA) for sigma in (0.9, 1.5, 20.0)]
    assert found == pytest.approx([found[0]] * 3, rel=0.01)


def test_rates_on_the_curve_give_the_epsilon_back():
    # At epsilon 0 the curve says TPR - FPR <= delta(0). Rates a hair beyond: the bound is the plan's own epsilon.
    loss = loss_distribution(1.5)
    apart = loss.get_delta_for_epsilon(0.0) + 1e-4
    found = rates_lower((0.5 + apart / 2, 0.5 - apart / 2), 0.07, 400, 3.0, DELTA)
    assert found == pytest.approx(loss.get_epsilon_for_delta(DELTA), rel=0.01)


def test_the_stated_claim():
    assert round(loss_distribution(6.0).get_epsilon_for_delta(DELTA), 2) == 0.88


def test_training_at_the_claimed_noise_is_not_refuted_and_at_half_of_it_is():
    # False alarm of the first at 99.9 % joint confidence: 1 in 1,000 for each of 4 seeds, at most. Half the noise of
    # a claimed mu of .5 is missed by 1 game in 1,000.
    plan = PLAN | {"noise_multiplier": 2.8}
    claimed = loss_distribution(2.8).get_epsilon_for_delta(DELTA)
    for seed in range(4):
        assert family_lower(trained(plan, 1000, 2.8, seed), **plan, confidence=0.999) < claimed
        assert family_lower(trained(plan, 1000, 1.4, seed), **plan, confidence=0.999) > claimed


def test_one_batch_for_all_steps_is_refuted_with_the_stated_power():
    # q .07, T 400, sigma 6, threshold at 3 deviations, 2,000 runs a world, 99.9 % joint over three thresholds: 999 of
    # 1,000 games show it. 97 of 100 or fewer happen to a correct program for 1 in 100,000 seeds.
    runs, seen, claim = 2000, 0, {name: PLAN[name] for name in ("sample_rate", "steps", "noise_multiplier")}
    for seed in range(100):
        random = np.random.default_rng(seed)
        shift = 20 / 6 * (random.random(runs) < 0.07)
        hits, alarms = (random.normal(shift) > 3).sum(), (random.normal(0, 1, runs) > 3).sum()
        seen += claim_refuted(Counts(int(hits), runs, int(alarms), runs), **claim, confidence=1 - 0.001 / 3)
    assert seen >= 98


def test_no_evidence_is_no_bound():
    assert family_lower(Counts(500, 1000, 500, 1000), **PLAN, confidence=0.999) == 0
    assert family_lower(Counts(0, 1000, 1000, 1000), **PLAN, confidence=0.999) == 0
    assert rates_lower((0.50001, 0.5), 1.0, 1, 1.0, DELTA) == 0  # less than what noise 64 times the plan's would show


def test_all_runs_right_is_still_finite():
    rates = (0.99, 0.01)
    found = rates_lower(rates, 1.0, 1, 1.0, DELTA)
    assert found == pytest.approx(epsilon_of_mu(-2 * float(special.ndtri(0.01)), DELTA), rel=0.01)


@pytest.mark.parametrize("sigma", [0.0, math.nan, math.inf, -1.0])
def test_training_without_noise_is_not_audited(sigma):
    with pytest.raises(BadInput, match="noise_multiplier"):
        rates_lower((0.6, 0.4), 0.07, 400, sigma, DELTA)
