from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.errors import BadInput
from labkit.population import MLP
from labkit.privacy.audit.canaries import MOVEMENT, NORM, RATIO, Planted, likelihood_ratio, plant, shadow_scores
from labkit.privacy.audit.game import finish
from labkit.privacy.noise import SEEDED, draw_key
from labkit.privacy.plan import Plan


def examples(n: int = 600, classes: int = 3, features: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, features, generator=generator), torch.arange(n) % classes


def plan(**changed: object) -> Plan:
    fields = {"noise_multiplier": 2.0, "examples": 600, "batch_size": 60, "steps": 20, "clip_norm": 1.0, "delta": 1e-5}
    return Plan.noised(**(fields | changed))


def scores(planted: Planted, included: list[bool], models: int, seed: int = 0) -> np.ndarray:
    return finish(shadow_scores(planted, included, models, seed=seed, world="test"))


def test_by_hand():
    planted = plant(plan(clip_norm=2.0), *examples(), canaries=2, seed=0)
    # q = 1 / 10 exactly: of at least 66 examples, 70 with a batch of 7.
    assert (planted.plan.examples, planted.plan.batch_size) == (70, 7)
    assert planted.x.shape == (70, 16 + 2)
    # Nobody else lights the canaries' pixels, and each canary lights its own alone: |(1/3, 1/3, -2/3)| = sqrt(2/3).
    lit = math.sqrt(20**2 / (2 / 3) - 1)
    expected = torch.zeros(70, 2)
    expected[68, 0] = expected[69, 1] = lit
    torch.testing.assert_close(planted.x[:, 16:], expected)
    assert not planted.x[68:, :16].any()
    assert planted.y[68:].tolist() == [0, 1]
    unit = math.sqrt(2 / 3)
    torch.testing.assert_close(planted.directions[:, 0], torch.tensor([-2 / 3, 1 / 3, 1 / 3]) / unit)
    assert planted.share == pytest.approx(lit / math.sqrt(lit**2 + 1))


@pytest.mark.parametrize("clip", [0.01, 1.0, 30.0])
def test_a_canary_is_ten_clip_norms_long_and_is_clipped_to_its_direction(clip):
    planted = plant(plan(clip_norm=clip), *examples(), canaries=3, seed=0)
    arch = MLP((planted.x.shape[1], 3))
    params = {name: torch.zeros(1, *shape) for name, shape in arch.shapes().items()}
    out = {name: torch.zeros_like(tensor) for name, tensor in params.items()}
    one = slice(len(planted.y) - 3, len(planted.y) - 2)
    seen = arch.clipped_sum(
        params, planted.x[one], planted.y[one], out, clip=torch.tensor([clip]), weight=torch.ones(1), fresh=True
    )
    assert seen.norms.item() >= NORM * clip * (1 - 1e-5)
    moved = out["0.weight"][0, :, -3:]
    torch.testing.assert_close(moved[:, 0], clip * planted.share * planted.directions[:, 0], rtol=1e-4, atol=0)
    assert not moved[:, 1:].any()


def test_the_movement_counts_the_steps_that_drew_the_canary():
    # With hardly any noise, the movement is the number of inclusions; a removed canary's weights see noise alone.
    planted = plant(plan(noise_multiplier=0.02), *examples(), canaries=2, seed=0)
    found = scores(planted, [True, False], 8)[MOVEMENT]
    canary = planted.plan.examples - 2
    keys = [draw_key(SEEDED, 0, "audit", "test", k) for k in range(8)]
    drawn = (planted.plan.sampler(keys).draw(planted.plan.steps).rows == canary).sum((0, 2)).numpy()
    assert drawn.max() > 0
    assert found[:, 0] == pytest.approx(planted.share * drawn, abs=0.45)  # five standard deviations
    assert found[:, 1] == pytest.approx(0, abs=0.45)


def test_the_law_of_the_movement():
    # Kolmogorov and Smirnov against N(0, sigma^2 T) and a binomial shift of it: each fails for 1 in 1,000 seeds.
    planted = plant(plan(), *examples(), canaries=2, seed=0)
    found = scores(planted, [True, False], 500)[MOVEMENT]
    held = planted.plan
    deviation = held.noise_multiplier * math.sqrt(held.steps)
    assert stats.kstest(found[:, 1] / deviation, "norm").pvalue > 1e-3
    shifts = np.arange(held.steps + 1)
    weights = stats.binom.pmf(shifts, held.steps, held.sample_rate)

    def law(values: np.ndarray) -> np.ndarray:
        return stats.norm.cdf((values[:, None] - planted.share * shifts) / deviation) @ weights

    assert stats.kstest(found[:, 0], law).pvalue > 1e-3
    assert abs(np.corrcoef(found.T)[0, 1]) < 3.3 / math.sqrt(500)  # two canaries share neither noise nor draws


def test_the_ratio_is_of_the_densities():
    planted = plant(plan(), *examples(), canaries=1, seed=0)
    z = torch.linspace(-6, 6, 25, dtype=torch.float64)
    q, sigma = planted.plan.sample_rate, planted.plan.noise_multiplier
    without = stats.norm.pdf(z.numpy(), 0, sigma)
    with_it = (1 - q) * without + q * stats.norm.pdf(z.numpy(), planted.share, sigma)
    assert likelihood_ratio(z, planted).numpy() == pytest.approx(np.log(with_it / without))
    everybody = plant(plan(batch_size=600), *examples(), canaries=1, seed=0)
    all_in = stats.norm.logpdf(z.numpy(), planted.share, sigma) - stats.norm.logpdf(z.numpy(), 0, sigma)
    assert likelihood_ratio(z, everybody).numpy() == pytest.approx(all_in)


def test_a_model_does_not_depend_on_how_many_train_beside_it():
    planted = plant(plan(), *examples(), canaries=1, seed=0)
    few, many = scores(planted, [True], 2), scores(planted, [True], 5)
    assert few == pytest.approx(many[:, :2], abs=1e-3)
    assert not np.allclose(few[MOVEMENT], scores(planted, [True], 2, seed=1)[MOVEMENT], atol=0.1)
    assert len(np.unique(many[RATIO])) == 5


@pytest.mark.parametrize(
    ("examples_", "batch", "canaries", "expected"),
    [
        (6000, 256, 1, (375, 16)),  # 16/375 is the rate in lowest terms
        (600, 60, 1, (70, 7)),
        (600, 60, 100, (170, 17)),
        (64, 64, 1, (65, 65)),
        (97, 31, 1, (97, 31)),
    ],
)
def test_the_sample_rate_is_kept_exactly(examples_, batch, canaries, expected):
    x, y = examples(6000)
    small = plant(plan(examples=examples_, batch_size=batch), x, y, canaries, seed=0).plan
    assert (small.examples, small.batch_size) == expected
    assert small.sample_rate == batch / examples_


def test_the_given_examples_are_not_changed_and_pictures_are_flattened():
    x, y = examples(600, features=48)
    before = x.clone()
    planted = plant(plan(), x.view(600, 3, 4, 4), y, 1, seed=0)
    planted.only([False])
    assert torch.equal(x, before)
    assert torch.equal(planted.x, plant(plan(), x, y, 1, seed=0).x)
    assert planted.x.isfinite().all()
    assert planted.only([False])[-1].isnan().all()
    assert torch.equal(planted.only([True]), planted.x)


def test_what_cannot_be_audited():
    x, y = examples()
    with pytest.raises(BadInput, match="plan"):
        plant(Plan.nonprivate("plain", examples=600, batch_size=60, steps=20), x, y, 1, seed=0)
    with pytest.raises(BadInput, match="canaries"):
        plant(plan(), x, y, 0, seed=0)
    with pytest.raises(BadInput, match="examples"):
        plant(plan(), x[:50], y[:50], 1, seed=0)


@pytest.mark.gpu
def test_the_law_of_the_movement_on_cuda():
    x, y = examples()
    planted = plant(plan(), x.cuda(), y.cuda(), canaries=2, seed=0)
    found = scores(planted, [True, False], 4096)[MOVEMENT]
    deviation = planted.plan.noise_multiplier * math.sqrt(planted.plan.steps)
    assert stats.kstest(found[:, 1] / deviation, "norm").pvalue > 1e-3
    expected = planted.share * planted.plan.sample_rate * planted.plan.steps
    assert abs(found[:, 0].mean() - expected) < 3.5 * (deviation + 2) / math.sqrt(4096)
