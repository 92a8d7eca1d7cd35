"""Squared norms and sums of layers against one example's gradient at a time, in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.population import norms, sums

K, B = 2, 3


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zeros_and_ones(*shape, seed=9):
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5).double()


def gradients(layer, shape, a, delta):
    """[K, B, *shape]: the gradient of a parameter for each example alone, by `autograd`; layer(parameter, input)."""
    found = torch.zeros(*delta.shape[:2], *shape, dtype=torch.float64)
    for k in range(delta.shape[0]):
        for b in range(delta.shape[1]):
            parameter = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
            own = a.dim() == delta.dim() - (not a.is_floating_point())  # row numbers have no last axis
            example = a[k, b] if own else a[b]
            (found[k, b],) = torch.autograd.grad(layer(parameter, example), parameter, delta[k, b])
    return found


def agree(ours, theirs, mask=None):
    masked = theirs if mask is None else theirs * mask.unsqueeze(1)
    torch.testing.assert_close(ours, masked.flatten(2).square().sum(-1), rtol=1e-9, atol=1e-12)


def test_a_linear_layer_by_hand():
    """delta (1, 2), a (3, 4): the gradient is ((3, 4), (6, 8)); a mask leaves 4 and 6."""
    a, delta = torch.tensor([[[3.0, 4.0]]]), torch.tensor([[[1.0, 2.0]]])
    torch.testing.assert_close(norms.linear(a, delta), torch.tensor([[125.0]]))
    mask = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    torch.testing.assert_close(norms.linear(a, delta, mask), torch.tensor([[52.0]]))


def test_an_embedding_by_hand():
    """Row 5 is looked up twice and receives (1, 0) + (1, 1), row 2 receives (0, 3): 4 + 1 + 9."""
    rows, delta = torch.tensor([[[5, 2, 5]]]), torch.tensor([[[[1.0, 0.0], [0.0, 3.0], [1.0, 1.0]]]])
    torch.testing.assert_close(norms.embedding(rows, delta), torch.tensor([[14.0]]))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("length", [1, 2, 40], ids=["vector", "gram", "direct"])
def test_linear(shared, masked, length):
    a, delta = draw(*(() if shared else (K,)), B, length, 9), draw(K, B, length, 7, seed=1)
    mask = zeros_and_ones(K, 7, 9) if masked else None
    each = gradients(lambda w, x: x @ w.T, (7, 9), a, delta)
    agree(norms.positions(a, delta, mask), each, mask)
    torch.testing.assert_close(sums.linear(a, delta), each.sum(1))
    if length == 1:
        agree(norms.linear(a.squeeze(-2), delta.squeeze(2), mask), each, mask)
    bias_mask = zeros_and_ones(K, 7) if masked else None
    agree(norms.bias(delta, bias_mask), delta.sum(2), bias_mask)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize(
    ("side", "channels", "geometry"),
    [
        (6, 3, norms.Geometry((3, 3), padding=(1, 1))),
        (7, 3, norms.Geometry((3, 2), (2, 3), (1, 0), (1, 2))),
        (3, 40, norms.Geometry((2, 2), (2, 2))),  # one position: the Gram form
    ],
    ids=["same", "strided", "gram"],
)
def test_convolution(shared, masked, side, channels, geometry):
    a = draw(*(() if shared else (K,)), B, channels, side, side)
    shape = (5, channels, *geometry.kernel)

    def layer(w, x):
        return F.conv2d(x, w, None, geometry.stride, geometry.padding, geometry.dilation)

    delta = draw(K, B, *layer(torch.zeros(shape, dtype=torch.float64), draw(channels, side, side)).shape, seed=1)
    mask = zeros_and_ones(K, *shape) if masked else None
    each = gradients(layer, shape, a, delta)
    agree(norms.convolution(a, delta, geometry, mask), each, mask)
    torch.testing.assert_close(sums.convolution(a, delta, geometry), each.sum(1))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), length=st.integers(1, 12), shared=st.booleans(), masked=st.booleans())
def test_embedding(seed, length, shared, masked):
    """A small vocabulary: most rows are looked up several times."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, 4, (B, length) if shared else (K, B, length), generator=generator)
    delta = draw(K, B, length, 5, seed=seed)
    mask = zeros_and_ones(K, 4, 5, seed=seed) if masked else None
    each = gradients(lambda table, x: F.embedding(x, table), (4, 5), rows.expand(K, B, length), delta)
    agree(norms.embedding(rows, delta, mask), each, mask)
    torch.testing.assert_close(sums.embedding(rows, delta, 4), each.sum(1))


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_affine(masked):
    a, delta = draw(K, B, 4, 6), draw(K, B, 4, 6, seed=1)
    mask = zeros_and_ones(K, 6) if masked else None
    agree(norms.affine(a, delta, mask), gradients(lambda w, x: w * x, (6,), a, delta), mask)


@pytest.mark.parametrize("numbers", [1, 500, 5000])
def test_blocks_cover_everything_once_and_stay_within_bounds(monkeypatch, numbers):
    monkeypatch.setitem(norms.NUMBERS, "cpu", 2000)
    seen = torch.zeros(5, 7)
    for members, examples in norms.blocks(torch.zeros(5, 7, 2), numbers):
        assert seen[members, examples].numel() * numbers <= max(2000, numbers)
        seen[members, examples] += 1
    assert (seen == 1).all()


def test_results_do_not_depend_on_the_blocks(monkeypatch):
    a, delta, geometry = draw(K, B, 3, 6, 6), draw(K, B, 5, 6, 6), norms.Geometry((3, 3), padding=(1, 1))
    mask = zeros_and_ones(K, 5, 3, 3, 3)
    whole = norms.convolution(a, delta, geometry, mask)
    monkeypatch.setitem(norms.NUMBERS, "cpu", 1)
    torch.testing.assert_close(norms.convolution(a, delta, geometry, mask), whole)


def test_the_gram_form_survives_cancellation():
    """Two positions whose gradients cancel but for a millionth: float32 products would leave nothing but rounding."""
    a = draw(1, 1, 300, seed=3).float()
    delta = draw(1, 1, 300, seed=4).float()
    pair, back = torch.stack([a, a * (1 + 1e-4)], 2), torch.stack([delta, -delta], 2)
    exact = torch.einsum("kbto,kbti->kboi", back.double(), pair.double()).square().sum()
    torch.testing.assert_close(norms.positions(pair, back).double().squeeze(), exact, rtol=1e-4, atol=0)


def test_long_vectors_are_measured_in_pieces():
    """Equal squares, whose roundings all go the same way in one running sum."""
    vector = torch.full((1, 1, 200_001), 0.1)
    exact = vector.double().norm(dim=-1)
    assert ((norms.length(vector).double() - exact).abs() / exact).item() < 16 * torch.finfo(torch.float32).eps


@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    seed=st.integers(0, 9),
)
@settings(max_examples=60, deadline=None)
def test_a_strided_view_unfolds_as_the_library_does(kernel, stride, padding, dilation, seed):
    """What CUDA uses, where the library launches a kernel for each image."""
    images = torch.randn(3, 2, 6, 7, generator=torch.Generator().manual_seed(seed))
    geometry = norms.Geometry(kernel, stride, padding, dilation)
    assert torch.equal(geometry._unfolded(images), geometry._library(images))
