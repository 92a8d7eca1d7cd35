"""Clipped sums of explicit per-unit gradients, and noise on one buffer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from labkit.privacy.per_example import add_noise, clipped_sum


def buffers(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.zeros(g.shape[1:], device=g.device) for name, g in gradients.items()}


def drawn(seed: int, count: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"A": (3, 5), "B": (4, 3)}
    return {name: (torch.randn(count, *shape, generator=generator) * scale).to(dtype) for name, shape in shapes.items()}


def test_by_hand() -> None:
    # Norms 5 and 1 over both tensors together; the clip norm 2 shortens the first one by 2 / 5.
    gradients = {"A": torch.tensor([[3.0], [1.0]]), "B": torch.tensor([[4.0], [0.0]])}
    out = buffers(gradients)
    found = clipped_sum(gradients, out, clip=2.0, weight=torch.ones(2), fresh=True)
    torch.testing.assert_close(out["A"], torch.tensor([3 * 0.4 + 1]), rtol=1e-5, atol=0)
    torch.testing.assert_close(out["B"], torch.tensor([4 * 0.4]), rtol=1e-5, atol=0)
    torch.testing.assert_close(found.norms, torch.tensor([5.0, 1.0]))
    assert (int(found.clipped), int(found.dropped)) == (1, 0)
    clipped_sum(gradients, out, clip=math.inf, weight=torch.tensor([0.0, 1.0]), fresh=False)
    torch.testing.assert_close(out["A"], torch.tensor([3 * 0.4 + 2]), rtol=1e-5, atol=0)


def test_against_one_unit_at_a_time_in_float64() -> None:
    gradients, weight = drawn(0, 40), (torch.arange(40) % 5 > 0).float()
    out = buffers(gradients)
    clipped_sum(gradients, out, clip=1.5, weight=weight, fresh=True)
    total = {name: torch.zeros(g.shape[1:], dtype=torch.float64) for name, g in gradients.items()}
    for unit in range(40):
        own = {name: g[unit].double() for name, g in gradients.items()}
        norm = math.sqrt(sum(float(g.square().sum()) for g in own.values()))
        for name, g in own.items():
            total[name] += float(weight[unit]) * min(1.0, 1.5 / norm) * g
    for name in total:
        torch.testing.assert_close(out[name].double(), total[name], rtol=1e-4, atol=1e-4)


@given(seed=st.integers(0, 1000), power=st.integers(-6, 6), half=st.booleans(), clip=st.floats(0.01, 10))
@settings(max_examples=60, deadline=None)
def test_one_unit_never_moves_the_sum_by_more_than_the_clip_norm(
    seed: int, power: int, half: bool, clip: float
) -> None:
    gradients = drawn(seed, 1, 10.0**power, torch.bfloat16 if half else torch.float32)
    out = buffers(gradients)
    clipped_sum(gradients, out, clip=clip, weight=torch.ones(1), fresh=True)
    moved = math.sqrt(sum(float(o.double().square().sum()) for o in out.values()))
    assert moved <= clip
    norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients.values()))
    assert moved >= 0.99 * min(norm, clip)  # and clipping takes no more than it must


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_unit_that_is_not_finite_adds_nothing_and_is_counted(bad: float) -> None:
    gradients = drawn(1, 3)
    rest = {name: g[[0, 2]].clone() for name, g in gradients.items()}
    gradients["B"][1, 2, 2] = bad
    out, without = buffers(gradients), buffers(gradients)
    found = clipped_sum(gradients, out, clip=1.0, weight=torch.ones(3), fresh=True)
    clipped_sum(rest, without, clip=1.0, weight=torch.ones(2), fresh=True)
    assert int(found.dropped) == 1
    for name in out:
        torch.testing.assert_close(out[name], without[name])


def test_noise_depends_on_key_and_step_alone_and_has_its_deviation() -> None:
    def noise(key: int, step: int, deviation: float = 2.0) -> Tensor:
        out = {"sum": torch.full((20_000,), 7.0)}
        add_noise(out, deviation=deviation, key=key, step=step)
        return out["sum"] - 7

    first = noise(1, 0)
    assert torch.equal(first, noise(1, 0))
    # 7 standard errors of the deviation of 20,000 numbers: a false alarm once in 4e11 runs; seeds are fixed.
    assert abs(float(first.std()) / 2 - 1) < 7 / math.sqrt(2 * 20_000)
    for other in (noise(1, 1), noise(2, 0)):
        # The correlation of independent numbers has a standard error of 1 / sqrt(20,000).
        assert abs(float((first * other).mean()) / 4) < 7 / math.sqrt(20_000)
    assert not noise(1, 0, 0.0).any()


@pytest.mark.gpu
def test_on_cuda_as_on_the_cpu() -> None:
    gradients = drawn(3, 64, dtype=torch.bfloat16)
    out, there = buffers(gradients), {name: g.cuda() for name, g in gradients.items()}
    clipped_sum(gradients, out, clip=1.0, weight=torch.ones(64), fresh=True)
    found = buffers(there)
    clipped_sum(there, found, clip=1.0, weight=torch.ones(64, device="cuda"), fresh=True)
    for name in out:
        torch.testing.assert_close(found[name].cpu(), out[name], rtol=1e-5, atol=1e-5)
    noisy = {"sum": torch.zeros(100_000, device="cuda")}
    add_noise(noisy, deviation=3.0, key=5, step=9)
    assert abs(float(noisy["sum"].std()) / 3 - 1) < 7 / math.sqrt(2 * 100_000)  # once in 4e11 runs
