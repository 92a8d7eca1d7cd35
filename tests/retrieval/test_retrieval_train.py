"""The in-batch softmax: by hand, with the mask of duplicates, and that it teaches."""

from __future__ import annotations

import math

import pytest
import torch
from retrieval_world import DOCUMENTS, PAIRS, encoder, flat, texts, world

from labkit.errors import BadInput
from labkit.retrieval import measures, search, train
from labkit.retrieval.train import in_batch_loss, order, rate_at

RECIPE = {"steps": 60, "batch_size": 16, "learning_rate": 1e-2, "temperature": 0.1, "seed": 0}


def test_the_loss_by_hand():
    """Cosines 1 and 0 at temperature 1: each query's loss is log(1 + exp(-1))."""
    points = torch.eye(2)
    assert float(in_batch_loss(points, points, torch.tensor([4, 9]), 1.0)) == pytest.approx(math.log(1 + math.exp(-1)))


def test_another_pair_of_the_same_document_pushes_nothing():
    """Three pairs, two of one document: the duplicate's column is as if it were not there."""
    angles = torch.tensor([0.1, 0.7, 2.0])
    query, document = torch.stack([angles.cos(), angles.sin()], 1), torch.eye(2)[[0, 0, 1]]
    own, other = query[:, 0], query[:, 1]
    expected = [
        torch.logaddexp(own[0], other[0]) - own[0],
        torch.logaddexp(own[1], other[1]) - own[1],
        torch.stack([own[2], own[2], other[2]]).logsumexp(0) - other[2],
    ]
    found = in_batch_loss(query, document, torch.tensor([5, 5, 6]), 1.0)
    assert float(found) == pytest.approx(float(sum(expected)) / 3, abs=1e-6)


def test_batches_are_permutations_of_the_seed():
    batches = order(10, 5, 4, seed=3)
    assert sorted(batches.flatten()[:10].tolist()) == sorted(batches.flatten()[10:].tolist()) == list(range(10))
    assert batches.flatten()[:10].tolist() != batches.flatten()[10:].tolist()  # each epoch has an order of its own
    assert torch.equal(batches, order(10, 5, 4, seed=3))
    assert not torch.equal(batches, order(10, 5, 4, seed=4))


def test_the_rate_rises_and_falls():
    rates = [rate_at(step, 20) for step in range(20)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0 < rates[-1] < 0.02
    assert rate_at(0, 1) == 1.0


def test_it_teaches_and_repeats_itself():
    queries, documents, rows = world()
    weights = []
    for _ in range(2):
        made = encoder()
        before = measures(*reversed(search(made, queries, documents)), rows)["mrr"].mean()
        said = list(train(made, queries, documents, rows, **RECIPE))
        after = measures(*reversed(search(made, queries, documents)), rows)["mrr"].mean()
        weights.append(flat(made.parameters()))
        assert [step for step, _ in said] == list(range(1, 61))
        assert float(said[-1][1]) < float(said[0][1]) / 2
        assert after > before + 0.15
    assert torch.equal(*weights)


def test_a_batch_is_cut_to_its_longest_text_and_nothing_changes():
    """A document that no pair names, longer than all others, pads every text; the training is the same."""
    queries, documents, rows = world()
    ended = []
    for longest in (7, 40):
        wide = texts(DOCUMENTS + 1, longest, 8)
        wide.ids[:-1, :7], wide.mask[:-1] = documents.ids, False
        wide.mask[:-1, :7], wide.mask[-1] = documents.mask, True
        made = encoder()
        list(train(made, queries, wide, rows, **RECIPE | {"steps": 5}))
        ended.append(flat(made.parameters()))
    assert torch.equal(*ended)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": PAIRS + 1}, "batch_size"), ({"batch_size": 1}, "batch_size"), ({"steps": 0}, "steps"),
        ({"temperature": 0.0}, "temperature"), ({"learning_rate": -1.0}, "learning_rate"),
        ({"temperature": math.nan}, "temperature"),
    ],
)  # fmt: skip
def test_bad_input_is_told_before_the_first_step(changes, named):
    with pytest.raises(BadInput, match=named):
        train(encoder(), *world(), **RECIPE | changes)
