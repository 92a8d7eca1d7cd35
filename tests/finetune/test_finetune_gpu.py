"""What moves of a public network on a CUDA device: sums, captured steps and scores. False alarms: 1e-4 a check, fixed
seeds."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from small_networks import CLIP, K, drawn, examples, network, rows_of, summed
from torch import Tensor, nn

from labkit.finetune.method import beside_rows
from labkit.finetune.network import Network, Transform, in_order
from labkit.finetune.scores import ABSOLUTE, NORM, READINGS, SUM, RowScores
from labkit.finetune.tail import Tail
from labkit.population.precision import matmul_precision
from labkit.privacy import Plan, PrivateTrainer

pytestmark = pytest.mark.gpu

N, BATCH, STEPS, SIGMA = 200, 24, 12, 0.8
STACKED = {"convolutions": False, "tokens": False, "grid": True, "dense": True}


def on(kind: str, device: str) -> Network:
    return network(kind).to(device)


def plans(*sigmas: float) -> list[Plan]:
    given = {"examples": N, "batch_size": BATCH, "steps": STEPS, "clip_norm": CLIP}
    return [Plan.noised(noise_multiplier=s, **given) if s else Plan.nonprivate("a test", **given) for s in sigmas]


def trainer(kind: str, device: str = "cuda", sigmas: tuple[float, ...] = (0.0,) * K, **rest) -> PrivateTrainer:
    made, (images, y) = on(kind, device), examples(N)
    tail = Tail(made, beside_rows(made, 0), rows_of(kind))
    given = {"learning_rate": 0.5, "momentum": 0.9, "draw_keys": [3, 4], "groups": [0, 1, 0], "noise_keys": [7, 8, 9]}
    x = tail.features(images.to(device))
    return PrivateTrainer(tail, tail.start({}, K), plans(*sigmas), x, y.to(device), **given | rest)


def weights(made: PrivateTrainer) -> Tensor:
    return torch.cat([t.flatten(1) for t in made.params.values()], 1).double().cpu()


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("kind", STACKED)
def test_sums_on_the_device_are_the_cpus(kind, absolute):
    """Stacked members or one after another; own batches or shared ones; a row that is not a number."""
    found = []
    for device in ("cpu", "cuda"):
        made = on(kind, device)
        whole = [] if absolute else beside_rows(made, 0)
        tail = Tail(made, whole, rows_of(kind), absolute=absolute)
        assert tail.stacked == (STACKED[kind] and device == "cuda")
        params = {name: t.to(device) for name, t in drawn(tail.shapes(), K, 1, torch.float32).items()}
        images, y = examples(K * 6)
        images[7] = torch.nan
        x, y = tail.features(images.to(device)), y.to(device)
        for batch in ((x.unflatten(0, (K, 6)), y.view(K, 6)), (x[6:12], y[6:12])):
            with matmul_precision(False):
                out, report = summed(tail, params, *batch)
            found.append([*out.values(), report.norms, report.clipped, report.dropped])
    for cpu, cuda in zip(found[:2], found[2:], strict=True):
        for one, other in zip(cpu, cuda, strict=True):
            torch.testing.assert_close(other.cpu(), one, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", STACKED)
def test_without_noise_a_training_ends_where_the_cpus_does(kind):
    ended = []
    for device in ("cpu", "cuda"):
        made = trainer(kind, device, padded=16)
        made.advance(STEPS)
        assert made.captured == (device == "cuda")
        ended.append(weights(made))
    torch.testing.assert_close(*ended, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", STACKED)
def test_a_captured_step_is_the_eager_one(kind):
    ended = []
    for capture in (False, True):
        made = trainer(kind, sigmas=(SIGMA, 0.5, 0.0), capture=capture, padded=16)
        made.advance(STEPS)
        assert made.captured == capture
        ended.append(weights(made))
    torch.testing.assert_close(*ended, rtol=1e-3, atol=1e-3)


def scores(kind: str, reading: str, device: str = "cuda", sigma: float = SIGMA, **rest) -> RowScores:
    images, y = examples(N)
    (plan,) = plans(sigma)
    made = RowScores(
        on(kind, device), list(rows_of(kind)), reading, plan, images.to(device), y.to(device), draw_key=3, noise_key=5,
        span=(2, STEPS), **rest,
    )  # fmt: skip
    made.advance(STEPS)
    return made


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("kind", ["convolutions", "dense"])
def test_captured_scores_are_the_eager_ones_and_without_noise_the_cpus(kind, reading):
    captured, eager = scores(kind, reading), scores(kind, reading, capture=False)
    assert captured.captured
    assert not eager.captured
    there, here = scores(kind, reading, sigma=0.0), scores(kind, reading, "cpu", sigma=0.0)
    for name in rows_of(kind):
        torch.testing.assert_close(captured.scores()[name], eager.scores()[name], rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(
            captured.noiseless_scores()[name], eager.noiseless_scores()[name], rtol=1e-3, atol=1e-3
        )
        torch.testing.assert_close(there.scores()[name], here.scores()[name], rtol=1e-3, atol=1e-3)


def wide() -> Network:
    """A layer of 256 rows, which all are given gradients of about the same size, and a head."""
    stages = in_order([nn.Flatten(), nn.Linear(4, 256), nn.Linear(256, 2)])
    sign = (torch.arange(256) % 2 * 2 - 1).float()
    for tensor in stages.parameters():
        tensor.data.zero_()
    stages[2].weight.data.copy_(torch.stack([sign, -sign]))
    return Network("wide", stages, "2", Transform((2, 2), 1, (0.0,), (1.0,))).to("cuda")


@pytest.mark.parametrize(("reading", "numbers"), [(NORM, 1), (SUM, 4), (ABSOLUTE, 4)])
def test_noise_of_scores_is_normal_with_the_plans_deviation(reading, numbers):
    """Two-sided, over rows, runs and captured steps; neither shares noise."""
    steps, found = 8, []
    plan = Plan.noised(noise_multiplier=SIGMA, examples=400, batch_size=400, steps=steps, clip_norm=CLIP)
    images, y = torch.ones(400, 1, 2, 2, device="cuda"), torch.zeros(400, dtype=torch.int64, device="cuda")
    for key in range(12):
        made = RowScores(wide(), ["1"], reading, plan, images, y, draw_key=1, noise_key=key, span=(0, steps))
        made.advance(steps)
        assert made.captured
        assert float(made.scores()["1"].min()) > 0
        found.append(made.scores()["1"] - made.noiseless_scores()["1"])
    z = torch.stack(found).numpy() / (SIGMA * CLIP * math.sqrt(steps * numbers))
    for each in (z, z.mean(0) * math.sqrt(12), z.mean(1) * 16):
        below = stats.chi2.cdf((each**2).sum(), each.size)
        assert 5e-5 < below < 1 - 5e-5
        assert stats.kstest(each.flatten(), "norm").pvalue > 1e-4
