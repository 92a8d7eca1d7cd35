"""Sums of absolute gradients: by hand, and what holds of them whatever the numbers are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from labkit.finetune.absolute import absolute_convolution, absolute_linear
from labkit.population import sums
from labkit.population.norms import Geometry


def test_positions_of_one_example_cancel_and_examples_do_not():
    """One input and one output. Example 1: 2 * 1 + 1 * (-3) = -1 over two positions; example 2: 1 * 1 + 0 = 1."""
    a, delta = torch.tensor([[[[2.0], [1.0]], [[1.0], [0.0]]]]), torch.tensor([[[[1.0], [-3.0]], [[1.0], [5.0]]]])
    assert absolute_linear(a, delta).tolist() == [[[2.0]]]
    assert sums.linear(a, delta).tolist() == [[[0.0]]]


def test_without_positions_by_hand():
    a, delta = torch.tensor([[[1.0, -2.0], [3.0, 0.0]]]), torch.tensor([[[-1.0], [1.0]]])
    assert absolute_linear(a, delta).tolist() == [[[4.0, 2.0]]]


def test_a_convolution_by_hand():
    """A filter of 1 x 2 over (1, 2, 3), gradients (1, -1) at its two places: (1 - 2, 2 - 3); the second example's are
    opposite, and the sums cancel."""
    geometry, images = Geometry((1, 2)), torch.tensor([1.0, 2.0, 3.0]).expand(1, 2, 1, 1, 3)
    delta = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).view(1, 2, 1, 1, 2)
    assert absolute_convolution(images, delta, geometry).tolist() == [[[[[2.0, 2.0]]]]]
    assert not sums.convolution(images, delta, geometry).any()


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seed=st.integers(0, 999), positions=st.integers(0, 4), members=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_an_example_moves_each_number_by_its_own_absolute_gradient(seed, positions, members):
    """So the sum's sensitivity in L2 is the length of one example's gradient."""
    axes = (positions,) if positions else ()
    a, delta = drawn(seed, members, 5, *axes, 3), drawn(seed + 1, members, 5, *axes, 4)
    change = absolute_linear(a, delta) - absolute_linear(a[:, :4], delta[:, :4])
    own = sums.linear(a[:, 4:], delta[:, 4:])
    torch.testing.assert_close(change, own.abs(), rtol=1e-9, atol=1e-9)
    assert bool((absolute_linear(a, delta) + 1e-12 >= sums.linear(a, delta).abs()).all())


@pytest.mark.parametrize("geometry", [Geometry((2, 3)), Geometry((3, 1), (2, 1), (1, 0), (1, 2))])
def test_of_a_convolution_too(geometry):
    x, (height, width) = drawn(1, 2, 4, 3, 5, 5), (4, 3) if geometry.kernel == (2, 3) else (3, 5)
    delta = drawn(2, 2, 4, 6, height, width)
    change = absolute_convolution(x, delta, geometry) - absolute_convolution(x[:, 1:], delta[:, 1:], geometry)
    torch.testing.assert_close(change, sums.convolution(x[:, :1], delta[:, :1], geometry).abs(), rtol=1e-9, atol=1e-9)
