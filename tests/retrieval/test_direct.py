"""DP-direct: against a loop over single units in float64, and that a unit's share is its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_world import (
    DIRECT,
    DOCUMENTS,
    PAIRS,
    alone,
    encoder,
    flat,
    gradients,
    noised,
    trained_by_hand,
    trainer,
    without_noise,
    world,
)

from labkit.errors import BadInput


def by_document(at_most: int = 3) -> torch.Tensor:
    """A unit for each document that has pairs, with up to `at_most` of them."""
    rows = world()[2].numpy()
    units = [np.flatnonzero(rows == row)[:at_most] for row in np.unique(rows)]
    return torch.from_numpy(np.stack([np.pad(u, (0, at_most - len(u)), constant_values=-1) for u in units]))


def unit_loss(made, model, unit: int, step: int) -> torch.Tensor:
    """The loss of one unit, text by text."""
    queries, documents, rows = world()
    total = 0.0
    for pair in (p for p in made.unit_rows[unit].tolist() if p >= 0):
        own = int(rows[pair])
        among = [own, *(row for row in made.wrong(step).tolist() if row != own)]
        query = model(queries.ids[[pair]], queries.mask[[pair]])[0]
        points = torch.cat([model(documents.ids[[row]], documents.mask[[row]]) for row in among])
        total = total - (points @ query / made.temperature).log_softmax(0)[0]
    return total


def step_sum(made):
    def clipped(model, units, step):
        total = torch.zeros(len(made.weights), dtype=torch.float64)
        for unit in units.tolist():
            gradient = gradients(model, unit_loss(made, model, unit, step))
            total += gradient * min(1.0, made.plan.clip_norm / float(gradient.norm()))
        return total

    return clipped


def test_two_documents_by_hand():
    """One wrong answer: the loss is log(1 + exp((wrong - right) / T)), here by its gradient through the cosines."""
    made = trainer(DIRECT, without_noise(), negatives=1)
    queries, documents, rows = world()
    wrong = made.wrong(0)
    unit = next(u for u in range(PAIRS) if rows[u] != wrong[0])
    model, own = encoder(), rows[[unit]]
    query = model(queries.ids[[unit]], queries.mask[[unit]])
    right, other = (query @ model(documents.ids[r], documents.mask[r]).T for r in (own, wrong))
    expected = gradients(model, F.softplus((other - right) / 0.2).sum())
    made.gather(torch.tensor([unit]))
    assert torch.allclose(flat(made.sums.values()), expected, atol=1e-6)


@pytest.mark.parametrize("units", [None, by_document()], ids=["pairs", "documents"])
def test_against_a_loop_of_single_units(units):
    count = PAIRS if units is None else len(units)
    made = trainer(DIRECT, noised(1.5, 0.5, examples=count), units=units)
    expected = trained_by_hand(made, encoder(), 0.01, step_sum(made))
    made.advance(5)
    assert torch.allclose(flat(made.encoder.parameters()), expected, atol=2e-6)
    assert made.clipped > 0


def test_noise_off_and_clip_infinite_is_the_plain_gradient():
    made = trainer(DIRECT, without_noise())
    units = torch.arange(0, PAIRS, 3)
    made.gather(units)
    model = encoder()
    whole = gradients(model, sum(unit_loss(made, model, unit, 0) for unit in units.tolist()))
    assert torch.allclose(flat(made.sums.values()), whole, atol=2e-5)


def test_a_unit_adds_its_own_whoever_is_drawn_beside_it():
    made = trainer(DIRECT, noised())
    some, other = torch.arange(10), torch.arange(10, 17)
    sums = []
    for units in (some, other, torch.cat([some, other])):
        made.gather(units)
        sums.append(flat(made.sums.values()))
    assert torch.allclose(sums[0] + sums[1], sums[2], atol=1e-5)


def test_two_pairs_of_one_document_move_the_sum_by_one_clip_norm_together():
    """As units of their own they could move it by two."""
    clip = 1e-3  # far below every gradient
    pairs = by_document(2)
    both = pairs[(pairs >= 0).all(1)][:1]
    assert len(both)
    rest = {"examples": 1, "batch_size": 1}
    together = trainer(DIRECT, without_noise(clip, **rest), units=both)
    together.gather(torch.tensor([0]))
    assert float(flat(together.sums.values()).norm()) == pytest.approx(clip, rel=1e-4)
    apart = trainer(DIRECT, without_noise(clip))
    apart.gather(both[0])
    assert float(flat(apart.sums.values()).norm()) > 1.2 * clip


@settings(max_examples=15, deadline=None)
@given(st.integers(0, PAIRS - 1), st.sampled_from([1e-3, 0.5, 5.0]), st.integers(1, DOCUMENTS))
def test_no_unit_moves_the_sum_by_more_than_the_clip_norm(unit, clip, negatives):
    made = trainer(DIRECT, without_noise(clip), negatives=negatives)
    made.gather(torch.tensor([unit]))
    assert float(flat(made.sums.values()).norm()) <= clip


def test_the_own_document_is_masked_and_nothing_else():
    """With every document among the wrong answers a pair's loss is the softmax over the whole index, each once."""
    made = trainer(DIRECT, without_noise(), negatives=DOCUMENTS)
    queries, documents, rows = world()
    made.gather(torch.tensor([7]))
    model = encoder()
    scores = model(queries.ids[[7]], queries.mask[[7]]) @ model(documents.ids, documents.mask).T / 0.2
    expected = gradients(model, F.cross_entropy(scores, rows[[7]]))
    assert torch.allclose(flat(made.sums.values()), expected, atol=2e-6)


def test_wrong_answers_are_the_seeds_and_look_at_no_pair():
    first, other = trainer(DIRECT, noised()), trainer(DIRECT, noised(), units=alone().flip(0), draw_key=9)
    assert torch.equal(first.wrong(2), other.wrong(2))
    assert not torch.equal(first.wrong(2), first.wrong(3))
    assert len(set(first.wrong(2).tolist())) == 6


def test_a_unit_without_a_finite_gradient_adds_zero_and_is_counted():
    """A word that only one query has, with an embedding that is no number."""
    queries, documents, rows = world()
    queries.ids.clamp_(max=57)
    documents.ids.clamp_(max=57)
    queries.ids[5, 0], queries.mask[5, 0] = 59, True
    broken = encoder()
    broken.vectors[59] = torch.nan
    made = trainer(DIRECT, without_noise(0.5), data=(queries, documents, rows), encoder=broken)
    made.gather(torch.tensor([4, 5, 6]))
    with_it = flat(made.sums.values())
    made.gather(torch.tensor([4, 6]))
    assert torch.allclose(with_it, flat(made.sums.values()), atol=1e-7)
    assert made.dropped == 1


@pytest.mark.parametrize("negatives", [0, DOCUMENTS + 1])
def test_an_impossible_number_of_wrong_answers_is_refused(negatives):
    with pytest.raises(BadInput, match="negatives"):
        trainer(DIRECT, noised(), negatives=negatives)


def test_it_learns():
    made = trainer(DIRECT, without_noise(batch_size=32, steps=20), learning_rate=0.02, micro_batch=32)
    model = made.encoder

    def loss() -> float:
        with torch.no_grad():
            return float(sum(unit_loss(made, model, unit, 0) for unit in range(0, PAIRS, 2)))

    before = loss()
    made.advance(20)
    assert loss() < before / 2
    assert math.isfinite(loss())
