"""The encoder: what it standardises, what it leaves out, and that its weights are its seed's alone."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from retrieval_world import EMBEDDING, Texts, encoder, flat, texts
from torch import nn

from labkit.errors import BadInput
from labkit.retrieval import Encoder, encode
from labkit.retrieval.encoder import batches_by_length, lengths_of, standardised
from labkit.streams import stream


def test_standardised_by_hand():
    vectors = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    assert standardised(vectors).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def test_without_layers_by_hand():
    """Two words, an identity map: the mean of the normed embeddings of the real tokens, on the unit circle."""
    made = Encoder(torch.tensor([[-1.0, 0.0], [1.0, 2.0]]), 2, 0, 1, 0)
    with torch.no_grad():
        made.project.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    # standardised: (-1, -1) and (1, 1); mapped: (-1, 1) and (1, -1), which LayerNorm keeps
    found = made(torch.tensor([[0, 1], [0, 0], [0, 1]]), torch.tensor([[True, False], [True, True], [True, True]]))
    half = math.sqrt(0.5)
    assert torch.allclose(found, torch.tensor([[-half, half], [-half, half], [0.0, 0.0]]), atol=1e-4)


def test_a_layer_is_pytorchs():
    made = encoder().double()
    layer = made.layers[0]
    theirs = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name, ours in {
            "self_attn.in_proj_weight": layer.attend.weight, "self_attn.in_proj_bias": layer.attend.bias,
            "self_attn.out_proj.weight": layer.merge.weight, "self_attn.out_proj.bias": layer.merge.bias,
            "linear1.weight": layer.widen.weight, "linear1.bias": layer.widen.bias,
            "linear2.weight": layer.narrow.weight, "linear2.bias": layer.narrow.bias,
        }.items():  # fmt: skip
            theirs.get_parameter(name).copy_(ours)
    x, mask = torch.randn(5, 6, 8, generator=stream(0, "x")).double(), texts(5, 6, 0).mask
    expected = theirs.train()(x, src_key_padding_mask=~mask)
    assert torch.allclose(layer(x, mask)[mask], expected[mask], atol=1e-12)


def test_padding_changes_nothing():
    made, some = encoder(), texts(9, 6, 1)
    longer = Texts(F.pad(some.ids, (0, 5), value=7), F.pad(some.mask, (0, 5), value=False))
    other = Texts(torch.where(some.mask, some.ids, 3), some.mask)
    points = made(some.ids, some.mask)
    assert torch.allclose(made(longer.ids, longer.mask), points, atol=1e-6)
    assert torch.allclose(made(other.ids, other.mask), points, atol=1e-6)
    assert torch.allclose(points.norm(dim=1), torch.ones(9))


def test_a_text_without_a_token_is_finite_and_teaches_nothing_unbounded():
    made = encoder()
    point = made(torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.bool))
    point.sum().backward()
    assert torch.isfinite(point).all()
    assert all(torch.isfinite(weight.grad).all() for weight in made.parameters())


def test_points_are_float32_where_products_are_bfloat16():
    made, some = encoder(), texts(9, 6, 1)
    with torch.autocast("cpu", torch.bfloat16):
        points = made(some.ids, some.mask)
    assert points.dtype == torch.float32
    assert torch.allclose(points.norm(dim=1), torch.ones(9))
    assert torch.allclose(points, made(some.ids, some.mask), atol=0.05)


def test_encode_by_length_is_the_forward_in_the_rows_order():
    made, some = encoder(2), texts(23, 9, 2)
    found = encode(made, some, batch=4)
    assert torch.allclose(found, made(some.ids, some.mask), atol=1e-6)
    assert not found.requires_grad
    rows = torch.cat([rows for rows, _ in batches_by_length(some.mask, 4)])
    assert sorted(rows.tolist()) == list(range(23))
    assert lengths_of(some.mask).tolist() == some.mask.sum(1).tolist()


def test_initial_weights_are_the_seeds_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = encoder(), encoder(), encoder(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(flat(first.parameters()), flat(again.parameters()))
    assert not torch.equal(first.project.weight, other.project.weight)
    assert float(first.project.weight.detach().std()) == pytest.approx(EMBEDDING**-0.5, rel=0.3)


def test_a_copy_is_trained_apart_and_shares_the_embeddings():
    made = encoder()
    other = made.copy()
    assert other.vectors is made.vectors
    with torch.no_grad():
        other.project.weight.add_(1)
    assert not torch.equal(other.project.weight, made.project.weight)
    assert set(made.params()) == set(dict(other.named_parameters()))
    assert "vectors" not in made.state_dict()  # public, large, and known from the model


@pytest.mark.parametrize(("width", "layers", "heads", "named"), [(9, 1, 2, "width"), (8, -1, 2, "layers")])
def test_impossible_shapes_are_refused(width, layers, heads, named):
    with pytest.raises(BadInput, match=named):
        Encoder(torch.eye(5), width, layers, heads, 0)
