"""Training and search on a CUDA device, held to the CPU's."""

from __future__ import annotations

import pytest
import torch
from retrieval_world import DIRECT, LOGIT, encoder, flat, noised, trainer, without_noise, world
from scipy import stats

from labkit.retrieval import measures, search, train

pytestmark = pytest.mark.gpu
BOTH = pytest.mark.parametrize("kind", [DIRECT, LOGIT])


@BOTH
@pytest.mark.parametrize("clip", [0.5, 1e3])
def test_the_clipped_sum_is_the_cpus(kind, clip):
    sums = []
    for device in ("cpu", "cuda"):
        made = trainer(kind, without_noise(clip), device=device)
        made.gather(torch.arange(20))
        sums.append(flat(made.sums.values()))
    assert float((sums[0] - sums[1]).norm()) < 1e-4 * float(sums[0].norm())


@BOTH
def test_one_unit_moves_the_sum_by_at_most_the_clip_norm(kind):
    made = trainer(kind, without_noise(1e-2), device="cuda")
    units = torch.arange(20)
    made.gather(units)
    before = flat(made.sums.values())
    made.gather(torch.arange(21))
    assert float((flat(made.sums.values()) - before).norm()) <= 1e-2 * (1 + 1e-4)  # the difference itself is rounded


@BOTH
def test_the_noise_is_the_planned_one(kind):
    made = trainer(kind, noised(1.3, 0.7, batch_size=1, steps=12), draw_key=8, device="cuda")
    made.advance(next(step for step in range(12) if not len(made.drawn(step))) + 1)
    z = flat([made.total]) / (1.3 * 0.7)
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-4


@BOTH
def test_resumed_there_it_ends_in_the_same_numbers(kind):
    whole, begun, resumed = (trainer(kind, noised(), device="cuda") for _ in range(3))
    whole.advance(5)
    begun.advance(2)
    resumed.load(begun.state())
    resumed.advance(5)
    assert torch.allclose(flat(whole.encoder.parameters()), flat(resumed.encoder.parameters()), atol=1e-4)


def test_ordinary_training_and_search_reach_the_cpus_quality():
    queries, documents, rows = world()
    found = []
    for device in ("cpu", "cuda"):
        made = encoder(device=device)
        recipe = {"steps": 60, "batch_size": 16, "learning_rate": 1e-2, "temperature": 0.1, "seed": 0}
        list(train(made, queries, documents, rows, **recipe))
        scores, best = search(made, queries, documents)
        assert scores.device.type == "cpu"
        found.append(measures(best, scores, rows)["mrr"].mean())
    assert found[1] == pytest.approx(found[0], abs=0.1)
