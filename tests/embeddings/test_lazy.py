"""LazyDP is DP-SGD: the same law for every number that is read, shown or released, by noise that comes late."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from one_unit import given_batch, stub_plan
from scipy import stats

from labkit.embeddings import lazy
from labkit.embeddings.dense import DenseRows
from labkit.embeddings.lazy import LazyRows
from labkit.embeddings.mechanism import Method
from labkit.embeddings.noise import FLUSH, PENDING, StepNoise
from labkit.embeddings.optim import Mover
from labkit.embeddings.tower import Tower
from labkit.embeddings.trainer import EmbeddingTrainer
from labkit.errors import BadInput
from labkit.privacy import Plan

DIM, CLIP, BATCH, RATE = 2, 0.8, 4, 0.5
SIGMA = 3.0
SCALE = RATE * SIGMA * CLIP / BATCH


def mechanism(table, sigma=SIGMA, key=0, steps=20, kind=LazyRows, optimizer="sgd"):
    plan, method = stub_plan(sigma, CLIP, BATCH, steps), Method(name="lazydp")
    return kind(Mover(table, optimizer, RATE), plan, method, StepNoise(key, "cpu"))


def read(made: LazyRows, rows: list[int], at: int) -> None:
    """One step's look at these rows, without a gradient."""
    made.before(torch.tensor(rows), torch.tensor([at]), at)


def test_by_hand():
    table, noise = torch.zeros(4, DIM), StepNoise(0, "cpu")
    made = mechanism(table)
    read(made, [1, -1, 1], 0)  # nothing is owed before the first step
    assert (table == 0).all()
    read(made, [1, 1, -1, 3], 3)
    first = noise.normal(PENDING, 3, 2, DIM)
    expected = torch.zeros(4, DIM)
    expected[[1, 3]] = -SCALE * math.sqrt(3) * first  # once, though row 1 stands there twice
    assert torch.allclose(table, expected)
    assert made.noised.tolist() == [0, 3, 0, 3]
    made.flush(5)
    owed = torch.tensor([5.0, 2, 5, 2])
    assert torch.allclose(table, expected - SCALE * owed.sqrt()[:, None] * noise.normal(FLUSH, 5, 4, DIM))
    assert made.noised.tolist() == [5, 5, 5, 5]


def test_without_noise_it_moves_as_dp_sgd_does():
    tables = [torch.randn(8, DIM, generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    tower = Tower(2, DIM, (), generator=torch.Generator().manual_seed(1))
    for table, kind in zip(tables, (LazyRows, DenseRows), strict=True):
        made = mechanism(table, sigma=0.0, kind=kind)
        for at in range(3):
            ids = [[[0, 3]], [[at, 4]], [[1, 3]]]
            made.before(torch.tensor(ids).flatten(), torch.tensor([at]), at)
            made.update(given_batch(ids, tower, table, CLIP), torch.tensor([at]), at)
        made.flush(3)
    assert torch.allclose(*tables, atol=1e-6)


@pytest.mark.parametrize("flushes", [(), (4,), (1, 2, 8)])
def test_every_number_has_the_noise_of_every_step_in_the_end(flushes):
    # Whoever was read when, and whenever it was flushed in between. A correct program fails for 3 in 1,000 seeds, each.
    rows, steps, rng = 1500, 9, np.random.default_rng(0)
    table, often = torch.zeros(rows, DIM), np.zeros(rows, dtype=int)
    made = mechanism(table)
    for at in range(steps):
        some = rng.choice(rows // 2, 300).tolist()  # half of the rows are never read
        read(made, some, at)
        often[list(set(some))] += 1
        if at + 1 in flushes:
            made.flush(at + 1)
    made.flush(steps)
    numbers = table.numpy() / (SCALE * math.sqrt(steps))
    assert often[: rows // 2].max() >= 4
    for some in (numbers[often == 0], numbers[often >= 3]):
        assert stats.kstest(some.ravel(), "norm").pvalue > 1e-3
    assert stats.pearsonr(numbers[:, 0], numbers[:, 1]).pvalue > 1e-3


@pytest.mark.parametrize("at", [1, 4, 9])
def test_what_a_step_reads_has_the_noise_of_the_steps_before(at):
    # A correct program fails for 1 in 1,000 seeds, each.
    table = torch.zeros(1500, DIM)
    made = mechanism(table)
    for earlier in range(1, at):
        read(made, list(range(earlier * 100)), earlier)
    read(made, list(range(1500)), at)
    assert stats.kstest(table.numpy().ravel() / (SCALE * math.sqrt(at)), "norm").pvalue > 1e-3


def test_a_step_touches_no_other_row():
    table = torch.zeros(5000, DIM)
    made = mechanism(table)
    read(made, [7, 9, 7, 4999], 6)
    assert table.any(1).nonzero()[:, 0].tolist() == [7, 9, 4999]
    assert int(made._distinct) == 3


def test_a_second_flush_changes_nothing():
    table = torch.zeros(50, DIM)
    made = mechanism(table)
    made.flush(0)
    assert (table == 0).all()
    made.flush(6)
    once = table.clone()
    made.flush(6)
    assert torch.equal(table, once)


def test_stretches_and_flushes_never_share_a_number(monkeypatch):
    monkeypatch.setitem(lazy.AT_ONCE, "cpu", 3)
    table = torch.zeros(8, DIM)
    made, seen = mechanism(table), []
    for at in (1, 2, 3):
        before = table.clone()
        made.flush(at)
        seen.append(table - before)
    read(made, list(range(8)), 4)
    seen.append(table - sum(seen))
    numbers = (torch.cat(seen) * 1e4).round().flatten().tolist()
    assert len(set(numbers)) > len(numbers) - 3


N, ROWS, STEPS = 24, 10, 6


def trained(name: str, key: int) -> EmbeddingTrainer:
    generator = torch.Generator().manual_seed(0)
    ids = torch.stack([torch.randint(0, 4, (N,), generator=generator), torch.randint(4, 10, (N,), generator=generator)])
    tower = Tower(2, DIM, (3,), generator=generator)
    table = torch.randn(ROWS, DIM, generator=generator)
    plan = Plan.noised(noise_multiplier=1.5, examples=N, batch_size=4, steps=STEPS, clip_norm=CLIP)
    return EmbeddingTrainer(
        tower, table, ids.T.contiguous(), torch.randint(0, 2, (N,), generator=generator), torch.arange(N)[:, None],
        plan, Method(name=name), learning_rate=RATE, draw_key=3, noise_key=key,
    )  # fmt: skip


def test_training_is_distributed_as_dp_sgds():
    # Two samples of 150 trainings: tables and answers, by Kolmogorov and Smirnov. A correct program fails for 1 in 100
    # seeds.
    found = {}
    for name, offset in (("dpsgd", 0), ("lazydp", 10_000)):
        numbers = []
        for key in range(150):
            made = trained(name, offset + key)
            made.advance(STEPS)
            logits = made.logits(torch.tensor([[0, 4], [3, 9], [1, 6]]))
            numbers.append(torch.cat([logits, made.table[[0, 2, 9], 0], made.table.square().sum()[None]]))
        found[name] = torch.stack(numbers).numpy()
    assert found["dpsgd"].shape[1] == 7
    for one, other in zip(found["dpsgd"].T, found["lazydp"].T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 0.01 / 7


def test_an_evaluation_flushes():
    made = trained("lazydp", 1)
    made.advance(4)
    assert made.mechanism.noised.tolist() != [4] * ROWS
    made.logits(torch.tensor([[0, 4]]))
    assert made.mechanism.noised.tolist() == [4] * ROWS


def test_a_stopped_run_still_owes_what_it_owed():
    whole, first, second = (trained("lazydp", 1) for _ in range(3))
    whole.advance(STEPS)
    first.advance(3)
    second.load(first.state())
    assert second.mechanism.noised.tolist() == first.mechanism.noised.tolist() != [3] * ROWS
    second.advance(STEPS)
    for made in (whole, second):
        made.flush()
    assert torch.equal(whole.table, second.table)


def test_an_optimiser_that_noise_does_not_add_up_under_is_refused():
    with pytest.raises(BadInput, match="optimizer = 'adagrad'"):
        mechanism(torch.zeros(4, DIM), optimizer="adagrad")
    mechanism(torch.zeros(4, DIM), kind=DenseRows, optimizer="adagrad")
