"""The captured private step and its noise kernel on a CUDA device. False alarms: at most 1e-4 a test, fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.population import MLP
from labkit.privacy import Plan, PrivateTrainer

pytestmark = pytest.mark.gpu

ARCH = MLP((20, 16, 5))
N, STEPS, BATCH = 200, 30, 24


def plans(*sigmas: float, **changes) -> list[Plan]:
    given = {"examples": N, "batch_size": BATCH, "steps": STEPS, "clip_norm": 0.5} | changes
    made = {
        s: Plan.noised(noise_multiplier=s, **given) if s else Plan.nonprivate("a test", **given) for s in set(sigmas)
    }
    return [made[s] for s in sigmas]


def trainer(some: list[Plan], device: str = "cuda", arch: MLP = ARCH, **rest) -> PrivateTrainer:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, arch.widths[0], generator=generator).to(device)
    y = torch.randint(0, arch.widths[-1], (N,), generator=generator).to(device)
    rest = {"draw_keys": [3], "noise_keys": [100 + k for k in range(len(some))], "learning_rate": 0.5} | rest
    return PrivateTrainer(arch, arch.init(range(len(some)), device=device), some, x, y, **rest)


def weights(made: PrivateTrainer) -> torch.Tensor:
    return torch.cat([t.flatten(1) for t in made.params.values()], 1).double().cpu()


def masks(count: int, device: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return {
        n: (torch.rand(count, *s, generator=generator) < 0.5).float().to(device)
        for n, s in ARCH.shapes().items()
        if len(s) == 2
    }


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_without_noise_the_device_agrees_with_the_cpu(masked, momentum):
    ended = []
    for device in ("cpu", "cuda"):
        held = masks(3, device) if masked else None
        made = trainer(
            plans(0, 0, 0), device, draw_keys=[1, 2], groups=[0, 1, 0], masks=held, momentum=momentum, padded=16
        )
        made.advance(STEPS)
        ended.append(weights(made))
        assert made.captured == (device == "cuda")
    assert torch.allclose(*ended, atol=1e-4)


@pytest.mark.parametrize("padded", [None, 8])
def test_a_captured_step_is_the_eager_one(padded):
    ended = []
    for capture in (False, True):
        made = trainer(plans(1.0, 0.5, 0), capture=capture, padded=padded)
        made.advance(STEPS)
        ended.append(weights(made))
        assert made.seen.tolist() == [int(made.plan.sampler([3]).draw(STEPS).sizes().sum())] * 3
    assert torch.allclose(*ended, atol=1e-5)


def noise_of(made: PrivateTrainer, steps: int = 1) -> np.ndarray:
    """z of every weight in steps without an example, [K, D]."""
    before = weights(made)
    made.advance(steps)
    scale = (made.rate * made.deviation).double().cpu().unsqueeze(1)
    return ((before - weights(made)) / scale).numpy()


def idle(sigmas: list[float], **rest) -> PrivateTrainer:
    """A trainer whose draws are empty for its first steps: only noise moves it."""
    some = plans(*sigmas, batch_size=1, steps=STEPS)
    key = next(k for k in range(10_000) if some[0].sampler([k]).draw(STEPS).sizes()[:5].sum() == 0)
    return trainer(some, draw_keys=[key], arch=MLP((300, 200, 5)), **rest)


def test_the_kernels_noise_is_standard_normal():
    z = noise_of(idle([1.0] * 8)).flatten()
    assert stats.kstest(z[:200_000], "norm").pvalue > 1e-4
    assert (z**2).mean() == pytest.approx(1, abs=4 * (2 / z.size) ** 0.5)
    assert stats.binomtest(int((abs(z) > 4).sum()), z.size, 2 * stats.norm.sf(4)).pvalue > 1e-4
    assert abs(z).max() < 6.8


def test_the_kernel_scales_each_members_noise():
    made = idle([0.5, 2.0, 0.5], learning_rate=[0.1, 0.2, 0.3])
    before = weights(made)
    made.advance(1)
    moved = (weights(made) - before).std(1)
    expected = torch.tensor([0.5 * 0.5 * 0.1, 2.0 * 0.5 * 0.2, 0.5 * 0.5 * 0.3], dtype=torch.float64)
    assert torch.allclose(moved, expected, rtol=0.02)


def test_members_steps_and_places_are_independent():
    made = idle([1.0, 1.0])
    first, later = noise_of(made), noise_of(made)
    captured = [noise_of(made) for _ in range(3)]
    one, other = first
    quarter = 1024
    pairs = [(one, other), (one, later[0]), (captured[0][0], captured[2][0]), (one[1:], one[:-1])]
    pairs += [(one[: 50 * quarter], one[quarter * k : quarter * k + 50 * quarter]) for k in (1, 2, 3)]
    pairs += [(one[:256], one[256 * k : 256 * k + 256]) for k in (1, 2, 3)]
    for a, b in pairs:
        assert stats.pearsonr(a, b).pvalue > 1e-5
        assert stats.pearsonr(a**2, b**2).pvalue > 1e-5


def test_noise_depends_on_key_and_step_alone():
    together = noise_of(idle([1.0, 1.0, 1.0], noise_keys=[7, 2**62 + 5, 9]))
    alone = noise_of(idle([1.0], noise_keys=[2**62 + 5]))
    assert np.allclose(together[1], alone[0], atol=1e-3)
    assert not np.allclose(together[0], alone[0], atol=0.1)


def test_masked_weights_get_neither_gradient_nor_noise():
    held = masks(2, "cuda")
    made = trainer(plans(1.0, 0.0), masks=held)
    made.advance(STEPS)
    for name, mask in held.items():
        assert (made.params[name][mask == 0] == 0).all()
        assert (made.params[name][mask == 1] != 0).all()


def test_stopped_and_resumed_it_ends_in_the_same_numbers():
    whole, begun, resumed = (trainer(plans(1.0, 0.0), padded=8) for _ in range(3))
    whole.advance(STEPS)
    begun.advance(11)
    resumed.load(begun.state())
    resumed.advance(STEPS)
    assert torch.allclose(weights(whole), weights(resumed), atol=1e-6)
