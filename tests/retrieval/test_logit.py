"""Logit-DP: its bound by hand, its sum against naive loops, and the bound against records that come and go."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_world import (
    LOGIT,
    PAIRS,
    Texts,
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
from labkit.retrieval import sensitivity


def test_the_bound_by_hand():
    assert sensitivity(1.0, 1.0) == pytest.approx(16.8, abs=0.03)
    assert sensitivity(1.0, 0.2, 1024) == pytest.approx(1957, abs=0.5)
    assert sensitivity(3.0, 1.0, 1) == 0  # alone, a pair has its softmax for itself
    assert sensitivity(1.0, 1e9, 2) == pytest.approx(2)  # equal weights: 2 (1/2 + 1/2)


@given(st.floats(0.2, 20), st.integers(1, 10_000))
def test_the_bound_of_every_batch_is_the_largest(temperature, n):
    assert sensitivity(2.0, temperature, n) <= sensitivity(2.0, temperature, n + 1) <= sensitivity(2.0, temperature)
    assert sensitivity(2.0, temperature, 10**12) == pytest.approx(sensitivity(2.0, temperature), rel=1e-2)


def step_sum(made):
    """Every similarity's gradient on its own, clipped after the division by T, with the batch's weights."""

    def clipped(model, units, step):
        queries, documents, rows = world()
        pairs = made.chosen(step, units)
        total = torch.zeros(len(made.weights), dtype=torch.float64)
        if not len(pairs):
            return total
        q = model(queries.ids[pairs], queries.mask[pairs])
        d = model(documents.ids[rows[pairs]], documents.mask[rows[pairs]])
        weights = ((q @ d.T / made.temperature).softmax(1) - torch.eye(len(pairs))).detach()
        for i in range(len(pairs)):
            for j in range(len(pairs)):
                one = model(queries.ids[pairs[[i]]], queries.mask[pairs[[i]]])
                other = model(documents.ids[rows[pairs[[j]]]], documents.mask[rows[pairs[[j]]]])
                gradient = gradients(model, (one * other).sum() / made.temperature)
                total += weights[i, j] * gradient * min(1.0, made.bound / float(gradient.norm()))
        return total

    return clipped


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_against_naive_loops(temperature):
    made = trainer(LOGIT, noised(0.1, sensitivity(0.8, temperature), steps=3), temperature=temperature)
    assert made.bound == pytest.approx(0.8)
    expected = trained_by_hand(made, encoder(), 0.01, step_sum(made))
    made.advance(3)
    assert torch.allclose(flat(made.encoder.parameters()), expected, atol=5e-6)
    assert made.clipped > 0


def test_noise_off_and_clip_infinite_is_the_in_batch_softmax():
    made = trainer(LOGIT, without_noise())
    units = torch.arange(0, PAIRS, 2)
    made.gather(units)
    queries, documents, rows = world()
    model = encoder()
    q, d = (
        model(queries.ids[units], queries.mask[units]),
        model(documents.ids[rows[units]], documents.mask[rows[units]]),
    )
    whole = gradients(model, F.cross_entropy(q @ d.T, torch.arange(len(units)), reduction="sum"))
    assert torch.allclose(flat(made.sums.values()), whole, atol=2e-5)


def moved(made, units: torch.Tensor, one: int) -> float:
    """How far the sum moves when `one` joins `units`, in units of the sensitivity that the noise is scaled to."""
    made.gather(units)
    without = flat(made.sums.values())
    made.gather(torch.cat([units, torch.tensor([one])]))
    return float((flat(made.sums.values()) - without).norm()) / made.plan.sensitivity


@settings(max_examples=20, deadline=None)
@given(
    st.permutations(range(PAIRS)), st.integers(1, 30), st.sampled_from([1e-3, 0.5, 10.0]), st.sampled_from([1.0, 3.0])
)
def test_a_record_moves_the_sum_by_at_most_the_sensitivity(order, size, bound, temperature):
    made = trainer(LOGIT, without_noise(sensitivity(bound, temperature)), temperature=temperature, micro_batch=256)
    assert moved(made, torch.tensor(order[:size]), order[size]) <= 1


def worst(distinct: bool):
    """One query, repeated, with the document that is farthest from it, and a last pair whose document is nearest."""
    queries, documents, rows = world()
    ids, mask = queries.ids[[0] * PAIRS], queries.mask[[0] * PAIRS]
    model = encoder()
    with torch.no_grad():
        cosines = (model(ids[:1], mask[:1]) @ model(documents.ids, documents.mask).T)[0]
    near, far = cosines.argmax(), cosines.argmin()
    if not distinct:
        rows = torch.full_like(rows, far)
        rows[-1] = near
        return Texts(ids, mask), documents, rows
    # the same texts, each pair's document in a row of its own
    every = torch.full((PAIRS,), far)
    every[-1] = near
    return Texts(ids, mask), Texts(documents.ids[every], documents.mask[every]), torch.arange(PAIRS)


@pytest.mark.parametrize("distinct", [False, True])
def test_the_worst_record_for_many_pairs_of_one_document(distinct):
    """Every other query's softmax turns to the new document: the sum moves by far, and by no more than the bound.

    Were duplicates left out of the softmax, all 47 rows would move by a half, and the bound would not hold.
    """
    made = trainer(LOGIT, without_noise(sensitivity(1e-3, 1.0)), data=worst(distinct), micro_batch=512)
    assert 0.1 < moved(made, torch.arange(PAIRS - 1), PAIRS - 1) <= 1


def test_a_unit_takes_part_with_one_of_its_pairs():
    units = torch.tensor([[0, 1, -1], [2, -1, -1], [3, 4, 5]])
    data = (*world()[:2], torch.zeros(PAIRS, dtype=torch.int64))
    made = trainer(LOGIT, without_noise(examples=3, batch_size=1), units=units, data=data)
    seen = torch.stack([made.chosen(step, torch.arange(3)) for step in range(600)])
    assert [sorted(set(column)) for column in seen.T.tolist()] == [[0, 1], [2], [3, 4, 5]]
    # 600 fair draws: 5 standard deviations, false-alarm rate 1e-6
    assert abs(float((seen[:, 0] == 0).float().mean()) - 1 / 2) < 5 * math.sqrt(1 / 4 / 600)
    assert abs(float((seen[:, 2] == 5).float().mean()) - 1 / 3) < 5 * math.sqrt(2 / 9 / 600)
    assert made.chosen(7, torch.tensor([2]))[0] == made.chosen(7, torch.arange(3))[2]  # whoever else was drawn


def test_one_pair_alone_and_none_add_nothing():
    made = trainer(LOGIT, noised())
    for units in ([], [3]):
        made.gather(torch.tensor(units, dtype=torch.int64))
        assert not made.total.any()


def test_a_pair_without_a_finite_point_takes_no_part():
    queries, documents, rows = world()
    queries.ids.clamp_(max=57)
    documents.ids.clamp_(max=57)
    queries.ids[5, 0], queries.mask[5, 0] = 59, True
    broken = encoder()
    broken.vectors[59] = torch.nan
    made = trainer(LOGIT, without_noise(10.0), data=(queries, documents, rows), encoder=broken)
    made.gather(torch.tensor([4, 5, 6, 9]))
    with_it = flat(made.sums.values())
    made.gather(torch.tensor([4, 6, 9]))
    assert torch.allclose(with_it, flat(made.sums.values()), atol=1e-7)
    assert made.dropped == 1


def test_micro_batches_change_nothing():
    ended = []
    for micro_batch in (1, 40, 1000):
        made = trainer(LOGIT, noised(0.5, 8.0), micro_batch=micro_batch)
        made.gather(torch.arange(12))
        ended.append(flat(made.sums.values()))
    assert torch.allclose(ended[0], ended[1], atol=1e-6)
    assert torch.allclose(ended[0], ended[2], atol=1e-6)


def test_a_low_temperature_is_refused():
    with pytest.raises(BadInput, match="temperature"):
        trainer(LOGIT, noised(), temperature=0.2)
