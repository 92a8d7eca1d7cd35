from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labkit.errors import BadInput
from labkit.privacy.audit import game
from labkit.privacy.audit.bounds import Counts
from labkit.privacy.audit.canaries import MOVEMENT, RATIO, plant
from labkit.privacy.audit.family import claim_refuted
from labkit.privacy.audit.game import Scores, finish, judge, play, playing
from labkit.privacy.audit.laws import expected_counts, imagined_scores, score_law, thresholds
from labkit.privacy.plan import Plan


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(200, 20, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 2


def plan(**changed: object) -> Plan:
    fields = {"noise_multiplier": 2.0, "examples": 200, "batch_size": 40, "steps": 25, "clip_norm": 1.0, "delta": 1e-5}
    return Plan.noised(**(fields | changed))


def simulated(held: Plan, runs: int, seed: int) -> Scores:
    """What the game of a correct trainer must look like, without a trainer."""
    planted = plant(held, *examples(), 1, seed=0)
    return Scores(*imagined_scores(planted, runs, seed), thresholds(planted))


def test_counts_by_hand():
    included = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]])
    removed = np.array([[0.0, 2.5, 0.0, 0.0], [9.0, 9.0, 9.0, 0.0]])
    found = Scores(included, removed, ((RATIO, 1.5), (MOVEMENT, 5.0))).counts()
    assert found == (Counts(2, 3, 1, 4), Counts(1, 3, 3, 4))


def test_thresholds_are_half_the_shift_and_a_tail():
    planted = plant(plan(noise_multiplier=6.0, batch_size=14, steps=400), *examples(), 1, seed=0)
    (first, ratio), (second, half), (third, tail) = thresholds(planted)
    assert (first, second, third) == (RATIO, MOVEMENT, MOVEMENT)
    assert half == pytest.approx(planted.share * 14)
    assert tail == pytest.approx(3 * 6 * 20)
    # With much noise the ratio is nearly normal, mean -+ mu^2/2: half of the shift lies at 0.
    without, shift = score_law(planted)
    mu = planted.share * 0.07 * 20 * math.sqrt(math.expm1(1 / 36) * 36) / 6
    assert ratio == pytest.approx(0, abs=0.002)
    assert (without, shift) == pytest.approx((-(mu**2) / 2, mu**2), rel=0.02)


def test_each_threshold_takes_its_share_of_the_error():
    # 10 of 10 and 0 of 10 at one threshold, no evidence at the other; 80 % over both is 90 % each, 5 % a side.
    said = judge((Counts(10, 10, 0, 10), Counts(5, 10, 5, 10)), plan(), confidence=0.8)
    miss = 1 - 0.05**0.1
    assert said.supposing_nothing == pytest.approx(math.log((1 - miss - 1e-5) / miss))


def test_expected_counts_are_shares_of_the_runs():
    planted = plant(plan(), *examples(), 1, seed=0)
    few, many = expected_counts(planted, 100), expected_counts(planted, 100_000)
    for one, other in zip(few, many, strict=True):
        assert one.true_positives == pytest.approx(other.true_positives / 1000, abs=0.51)
        assert one.false_positives == pytest.approx(other.false_positives / 1000, abs=0.51)
    # The movement's tail lies 3 deviations above the world without it: 135 of 100,000, drawn as 10,000.
    assert 50 <= many[2].false_positives <= 240


def test_the_law_of_the_ratio_against_drawn_scores():
    held = plan(noise_multiplier=1.0)
    without, shift = score_law(plant(held, *examples(), 1, seed=0))
    drawn = simulated(held, 20_000, seed=0)
    error = drawn.included[RATIO].std() / math.sqrt(20_000)  # each of two checks fails for 1 in 2,000 seeds
    assert abs(drawn.removed[RATIO].mean() - without) < 3.5 * error
    assert abs(drawn.included[RATIO].mean() - without - shift) < 3.5 * error


def test_the_real_trainer_plays_as_the_law_says_and_is_not_accused():
    # The audit accuses a correct trainer for 1 in 1,000 seeds. Means of 400 runs within 3.5 standard errors: each of
    # four checks fails for 1 in 2,000 seeds.
    held = plan()
    found, law = play(held, *examples(), 400, seed=0), simulated(held, 20_000, seed=1)
    for mine, theirs in ((found.included, law.included), (found.removed, law.removed)):
        error = theirs.std(1) / math.sqrt(400)
        assert (np.abs(mine.mean(1) - theirs.mean(1)) < 3.5 * error).all()
        assert mine.std(1) == pytest.approx(theirs.std(1), rel=0.15)
    said = judge(found.counts(), held)
    assert not said.refuted
    assert 0 < said.epsilon < held.epsilon
    assert said.supposing_nothing <= said.epsilon
    assert said.confidence == 0.999


@pytest.mark.parametrize(("sigma", "least"), [(6.0, 0.1), (1.5, 0.6), (0.8, 0.7)])
def test_the_share_of_epsilon_that_4000_runs_show(sigma, least):
    # Frontier-like plans. Simulated: what the real trainer's game expects.
    held = plan(noise_multiplier=sigma, batch_size=14, steps=400)
    assert least < judge(simulated(held, 4000, seed=0).counts(), held).epsilon / held.epsilon < 1


def test_a_correct_mechanism_is_accused_as_rarely_as_stated():
    # 300 games at 80 % joint confidence: at most 20 % may accuse; more than 27.2 % do for 1 in 1,000 seeds.
    held = plan(noise_multiplier=1.0, steps=4)
    claim = {"sample_rate": held.sample_rate, "steps": held.steps, "noise_multiplier": held.noise_multiplier}
    planted_law = simulated(held, 300 * 100, seed=0)
    accused = 0
    for first in range(0, 300 * 100, 100):
        part = slice(first, first + 100)
        scores = Scores(planted_law.included[:, part], planted_law.removed[:, part], planted_law.thresholds)
        each = 1 - 0.2 / len(scores.thresholds)
        accused += any(claim_refuted(c, **claim, confidence=each) for c in scores.counts())
    assert accused / 300 <= 0.2 + 3.1 * math.sqrt(0.2 * 0.8 / 300)


def test_progress_is_told_and_populations_are_cut(monkeypatch):
    monkeypatch.setattr(game, "TOGETHER", {"cpu": 3})
    steps = playing(plan(), *examples(), 5, seed=0)
    told = []
    while True:
        try:
            told.append(next(steps))
        except StopIteration as end:
            scores = end.value
            break
    assert told[-1] == (2 * 5 * 25, 2 * 5 * 25)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert scores.included.shape == scores.removed.shape == (2, 5)
    assert len(np.unique(np.concatenate([scores.included, scores.removed], 1)[MOVEMENT])) == 10


def test_finish_returns_what_a_generator_returns():
    def counting():
        yield 1
        yield 2
        return "three"

    assert finish(counting()) == "three"


def test_no_run_is_no_game():
    with pytest.raises(BadInput, match="runs"):
        play(plan(), *examples(), 0, seed=0)
