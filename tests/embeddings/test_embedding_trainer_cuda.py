"""Whole trainings of embedding tables on CUDA against the CPU's, captured against eager, stopped against not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.embeddings.mechanism import Method
from labkit.embeddings.optim import ADAGRAD, SGD
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.privacy import Plan
from labkit.stats import auc
from labkit.streams import stream

pytestmark = pytest.mark.gpu

FALSE_ALARM = 1e-6  # of the statistical test below


EXAMPLES, COLUMNS, SIZE, DIM = 6000, 5, 300, 12
SETTINGS = {
    "dpsgd": {},
    "fest": {},
    "adafest": {"selection_fraction": 0.3, "threshold": 1.5},
    "adafest_plus": {"selection_fraction": 0.3, "threshold": 1.0},
    "lazydp": {},
}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(1)
    ids = np.minimum(generator.zipf(1.3, (EXAMPLES, COLUMNS)), SIZE) - 1 + np.arange(COLUMNS) * SIZE
    truth = generator.normal(size=COLUMNS * SIZE)
    labels = (truth[ids].sum(1) + generator.normal(size=EXAMPLES) > 0).astype(np.int64)
    return torch.from_numpy(ids), torch.from_numpy(labels)


def made_for(name: str, device: str, steps: int, sigma: float, optimizer: str, **rest) -> EmbeddingTrainer:
    ids, labels = (held.to(device) for held in data())
    plan = Plan.noised(noise_multiplier=sigma, examples=EXAMPLES, batch_size=400, steps=steps, clip_norm=1.0)
    tower = Tower(COLUMNS, DIM, (16,), generator=stream(0, "tower"), device=device)
    table = torch.randn(COLUMNS * SIZE, DIM, generator=stream(0, "table")).mul_(0.1).to(device)
    active = torch.arange(0, COLUMNS * SIZE, 2, device=device) if name in ("fest", "adafest_plus") else None
    return EmbeddingTrainer(
        tower, table, ids, labels, torch.arange(EXAMPLES, device=device)[:, None], plan,
        Method(name=name, **SETTINGS[name]), optimizer=optimizer, learning_rate=4.0 if optimizer == SGD else 0.2,
        draw_key=11, noise_key=12, active=active, **({"capture": device == "cuda"} | rest),
    )  # fmt: skip


def trained(
    name: str, device: str, steps: int = 60, sigma: float = 0.6, optimizer: str = SGD, **rest
) -> EmbeddingTrainer:
    made = made_for(name, device, steps, sigma, optimizer, **rest)
    made.advance(steps)
    made.flush()
    return made


@pytest.mark.parametrize("name", SETTINGS)
def test_without_noise_to_speak_of_the_gpu_ends_where_the_cpu_does(name):
    """At sigma 1e-4 the noise moves the AdaFEST threshold below one contribution: every touched row survives."""
    quiet = {"sigma": 1e-4, "steps": 30}
    cpu, gpu = trained(name, "cpu", **quiet), trained(name, "cuda", **quiet)
    assert gpu.captured
    # Thirty steps of a large learning rate carry rounding, and units at a kink of ReLU, this far.
    assert torch.allclose(gpu.tower.flat.data.cpu(), cpu.tower.flat.data, atol=2e-2)
    close = (gpu.table.cpu() - cpu.table).abs() < 2e-2
    assert close.float().mean() > 0.999  # rows with a false survivor differ by its noise
    if name not in ("adafest", "adafest_plus"):
        assert bool(close.all())
        assert torch.equal(gpu.mechanism.survivors.cpu(), cpu.mechanism.survivors)
    assert int(gpu.seen) == int(cpu.seen)


@pytest.mark.parametrize("name", SETTINGS)
def test_captured_and_eager_steps_are_the_same(name):
    captured, eager = trained(name, "cuda"), trained(name, "cuda", capture=False)
    assert captured.captured
    assert not eager.captured
    # Atomic sums differ in their last bits, which a threshold may turn into another survivor now and then.
    close = (captured.table - eager.table).abs() < 1e-3
    assert close.float().mean() > 0.999
    assert torch.allclose(captured.mechanism.survivors.float(), eager.mechanism.survivors.float(), atol=2)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("optimizer", [SGD, ADAGRAD])
def test_noise_on_the_gpu_has_the_size_of_the_cpus(name, optimizer):
    if name == "lazydp" and optimizer == ADAGRAD:
        return
    cpu, gpu = (trained(name, device, optimizer=optimizer) for device in ("cpu", "cuda"))
    ratio = float(gpu.table.cpu().norm() / cpu.table.norm())
    assert 0.9 < ratio < 1.1
    ids, labels = data()
    areas = [auc(labels.numpy(), made.logits(ids.to(made.device)).numpy())[0] for made in (cpu, gpu)]
    assert abs(areas[0] - areas[1]) < 0.05
    assert min(areas) > 0.6
    counts = [made.mechanism.survivors.double().mean() for made in (cpu, gpu)]
    assert float(counts[1]) == pytest.approx(float(counts[0]), rel=0.05)


def test_lazy_rows_on_the_gpu_have_all_their_noise_after_a_flush():
    """Rows that nobody touches end with noise of all steps: variance steps (rate sigma C / B)^2."""
    made = trained("lazydp", "cuda")
    ids, _ = data()
    start = torch.randn(COLUMNS * SIZE, DIM, generator=stream(0, "table")).mul_(0.1)
    untouched = torch.ones(COLUMNS * SIZE, dtype=torch.bool)
    untouched[ids.unique()] = False
    moved = (made.table.cpu() - start)[untouched] / (4.0 * 0.6 / 400 * math.sqrt(60))
    assert len(moved) > 50
    assert stats.kstest(moved.flatten().double().numpy(), "norm").pvalue > FALSE_ALARM


def test_a_resumed_training_goes_on_with_the_same_noise():
    whole, stopped = trained("adafest", "cuda"), made_for("adafest", "cuda", 60, 0.6, SGD)
    stopped.advance(25)
    resumed = made_for("adafest", "cuda", 60, 0.6, SGD)
    resumed.load(stopped.state())
    resumed.advance(60)
    assert resumed.done == 60
    close = (whole.table - resumed.table).abs() < 1e-3  # atomic sums differ in their last bits
    assert close.float().mean() > 0.999
