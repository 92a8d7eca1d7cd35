"""The CUDA kernels of embedding rows against plain PyTorch, their noise against its law, and whole trainings against
the CPU's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from labkit.embeddings.mechanism import Method
from labkit.embeddings.optim import ADAGRAD, SGD, Mover
from labkit.embeddings.survivors import padded_false, tail
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.privacy import Plan
from labkit.stats import auc
from labkit.streams import stream

pytestmark = pytest.mark.gpu

FALSE_ALARM = 1e-6  # of each statistical test below


@pytest.fixture(scope="module")
def fused():
    from labkit.embeddings import fused_rows

    return fused_rows


def on(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, device="cuda")


def is_normal(z: torch.Tensor) -> None:
    numbers = z.flatten().double().cpu().numpy()
    assert stats.kstest(numbers, "norm").pvalue > FALSE_ALARM
    assert len(np.unique(numbers)) > 0.99 * len(numbers)


def test_added_noise_is_normal_and_belongs_to_key_step_and_part(fused):
    def noise(key: int, step: int, part: int) -> torch.Tensor:
        out = torch.zeros(10_001, device="cuda")
        fused.add_normal(out, 1.0, key=on(key), step=on(step), part=part)
        return out

    one = noise(5, 3, 0)
    is_normal(one)
    assert torch.equal(one, noise(5, 3, 0))
    for other in (noise(6, 3, 0), noise(5, 4, 0), noise(5, 3, 1)):
        is_normal(other)
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 5 / math.sqrt(10_001)
    twice = torch.ones(10_001, device="cuda")
    fused.add_normal(twice, 2.0, key=on(5), step=on(3), part=0)
    assert torch.allclose(twice, 1 + 2 * one)


@pytest.mark.parametrize("optimizer", [SGD, ADAGRAD])
@pytest.mark.parametrize("dim", [1, 6, 64])
def test_kept_rows_move_as_the_optimiser_says_and_no_others(fused, optimizer, dim):
    generator = torch.Generator("cuda").manual_seed(0)
    rows = torch.randperm(500, generator=generator, device="cuda")[:100]
    keep = torch.rand(100, generator=generator, device="cuda") < 0.4
    sums = torch.randn(100, dim, generator=generator, device="cuda")
    table = torch.randn(500, dim, generator=generator, device="cuda")
    ours, theirs = Mover(table.clone(), optimizer, 0.3), Mover(table.clone(), optimizer, 0.3)
    for step in range(3):
        fused.move_rows(ours, rows, keep, sums, 0.0, 7, key=on(1), step=on(step))
        theirs.rows(rows[keep], sums[keep] / 7)
    assert torch.allclose(ours.weights, theirs.weights, atol=1e-6)
    still = torch.ones(500, dtype=torch.bool, device="cuda")
    still[rows[keep]] = False
    assert torch.equal(ours.weights[still], table[still])


def test_moved_rows_get_normal_noise_of_their_own(fused):
    mover, rows = Mover(torch.zeros(20_000, 6, device="cuda"), SGD, 0.5), torch.arange(20_000, device="cuda")
    keep = rows % 2 == 0
    fused.move_rows(mover, rows, keep, None, 3.0, 10, key=on(9), step=on(1))
    is_normal(mover.weights[keep] * 10 / (3.0 * 0.5))
    assert not mover.weights[~keep].any()


def test_slots_add_up_at_their_owner(fused):
    from labkit.embeddings.rows import RowMap
    from labkit.embeddings.unit_gradients import UnitGradients

    generator = torch.Generator("cuda").manual_seed(0)
    units, per_unit, dim = 300, 7, 6
    rows = torch.randint(0, 90, (units, per_unit), generator=generator, device="cuda")
    real = torch.rand(units, per_unit, generator=generator, device="cuda") < 0.8
    slots = torch.randn(units, per_unit, dim, generator=generator, device="cuda")
    factors = torch.rand(units, generator=generator, device="cuda")
    factors[:3], slots[:3] = 0, math.nan  # dropped units hold anything
    blank = torch.zeros(units, device="cuda")
    found = UnitGradients(rows, real, real, slots, factors, blank, blank, blank, blank)
    flat, there = rows.view(-1), real.view(-1)
    owner = RowMap(90, "cuda").claim(flat, there)
    keep = (flat % 3 == 0) & (owner == torch.arange(len(flat), device="cuda"))
    sums = torch.zeros(len(flat), dim, device="cuda")
    fused.add_slots(sums, owner, keep, found)
    wanted = torch.zeros(90, dim, dtype=torch.float64, device="cuda")
    weighted = (slots.double() * factors.double()[:, None, None]).nan_to_num(0).flatten(0, 1)
    wanted.index_add_(0, flat[there], weighted[there])
    assert bool(keep.any())
    assert torch.allclose(sums[keep].double(), wanted[flat[keep]], atol=1e-5)
    assert not sums[~keep].any()


@pytest.mark.parametrize("chance", [1e-4, 0.02, 0.5])
def test_false_rows_are_a_coin_for_each_row(fused, chance):
    threshold = float(stats.norm.isf(chance))
    rows, steps = 40_000, 200
    places, p = padded_false(rows, threshold), tail(threshold)
    scale, full = fused.gap_scale(p, torch.device("cuda")), on(0)
    counts, seen = [], torch.zeros(rows, device="cuda")
    for step in range(steps):
        found, there = fused.false_rows(places, rows, p, scale, key=on(3), step=on(step), full=full)
        chosen = found[there]
        assert bool((chosen.diff() > 0).all())
        counts.append(len(chosen))
        seen[chosen] += 1
    assert not int(full)
    total = sum(counts)
    assert stats.binomtest(total, rows * steps, p).pvalue > FALSE_ALARM
    spread = np.var(counts, ddof=1) * (steps - 1) / (rows * p * (1 - p))
    assert FALSE_ALARM < stats.chi2.cdf(spread, steps - 1) < 1 - FALSE_ALARM
    cells = seen.view(40, -1).sum(1).cpu().numpy()
    assert stats.chisquare(cells).pvalue > FALSE_ALARM


def test_all_rows_at_chance_one_and_none_at_zero(fused):
    every, there = fused.false_rows(7, 7, 1.0, on(0).double(), key=on(1), step=on(0), full=on(0))
    assert every.tolist() == list(range(7)) and bool(there.all())
    assert not len(fused.false_rows(0, 7, 0.0, on(0).double(), key=on(1), step=on(0), full=on(0))[0])


def test_a_buffer_that_is_too_short_is_noticed(fused):
    full = on(0)
    fused.false_rows(5, 1000, 0.5, fused.gap_scale(0.5, torch.device("cuda")), key=on(1), step=on(0), full=full)
    assert int(full) == 1


def test_what_is_owed_is_paid_by_its_root(fused):
    table, rows = torch.zeros(30_000, 5, device="cuda"), torch.arange(30_000, device="cuda")
    owed = (rows % 3 * 8).int()  # 0, 8 or 16 steps
    fused.pay(table, rows, owed, 0.5, key=on(2), step=on(4))
    assert not table[owed == 0].any()
    for steps in (8, 16):
        is_normal(table[owed == steps] / (0.5 * math.sqrt(steps)))


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
        draw_key=11, noise_key=12, active=active, **rest,
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
    assert torch.allclose(gpu.tower.flat.data.cpu(), cpu.tower.flat.data, atol=2e-3)
    close = (gpu.table.cpu() - cpu.table).abs() < 2e-3
    assert close.float().mean() > 0.999  # rows with a false survivor differ by its noise
    if name not in ("adafest", "adafest_plus"):
        assert bool(close.all())
        assert torch.equal(gpu.mechanism.survivors.cpu(), cpu.mechanism.survivors)
    assert int(gpu.seen) == int(cpu.seen)


@pytest.mark.parametrize("name", SETTINGS)
def test_captured_and_eager_steps_are_the_same(name):
    captured, eager = trained(name, "cuda"), trained(name, "cuda", capture=False)
    assert captured.captured and not eager.captured
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
    assert abs(areas[0] - areas[1]) < 0.05 and min(areas) > 0.6
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
    is_normal(moved)


def test_a_resumed_training_goes_on_with_the_same_noise():
    whole, stopped = trained("adafest", "cuda"), made_for("adafest", "cuda", 60, 0.6, SGD)
    stopped.advance(25)
    resumed = made_for("adafest", "cuda", 60, 0.6, SGD)
    resumed.load(stopped.state())
    resumed.advance(60)
    assert resumed.done == 60
    close = (whole.table - resumed.table).abs() < 1e-3  # atomic sums differ in their last bits
    assert close.float().mean() > 0.999
