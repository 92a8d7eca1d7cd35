import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labkit.population import CNN, MLP
from labkit.sparsity import DISTRIBUTIONS, draw_weights, kept_weights
from labkit.sparsity.weights import weight_shapes

SHAPES = MLP((784, 300, 100, 10)).shapes()


def test_erdos_renyi_by_hand():
    """Two layers 4 x 2 and 2 x 4: scores 6/8 each, so both keep the same share."""
    assert DISTRIBUTIONS["er"]([(4, 2), (2, 4)], 0.5) == pytest.approx([0.5, 0.5])


def test_a_layer_that_would_keep_more_than_all_stays_dense_and_the_rest_is_solved_anew():
    densities = DISTRIBUTIONS["er"]([(784, 300), (300, 100), (100, 10)], 0.1)
    sizes = [784 * 300, 300 * 100, 1000]
    assert densities[2] == 1.0
    assert densities[0] < densities[1] < 1
    assert sum(d * s for d, s in zip(densities, sizes, strict=True)) == pytest.approx(0.1 * sum(sizes))
    ratio = ((784 + 300) / (784 * 300)) / ((300 + 100) / (300 * 100))
    assert densities[0] / densities[1] == pytest.approx(ratio)


def test_kernels_count_only_for_erk():
    shapes = list(weight_shapes(CNN((16, 32)).shapes()).values())
    assert DISTRIBUTIONS["er"](shapes, 0.2) != DISTRIBUTIONS["erk"](shapes, 0.2)
    linear = list(weight_shapes(SHAPES).values())
    assert DISTRIBUTIONS["er"](linear, 0.2) == pytest.approx(DISTRIBUTIONS["erk"](linear, 0.2))


@given(sparsity=st.floats(0, 0.999), name=st.sampled_from(sorted(DISTRIBUTIONS)))
def test_the_total_is_exact(sparsity, name):
    counts = kept_weights(SHAPES, sparsity, name)
    sizes = {layer: math.prod(shape) for layer, shape in weight_shapes(SHAPES).items()}
    assert sum(counts.values()) == int((1 - sparsity) * sum(sizes.values()) + 0.5)
    assert all(0 <= counts[layer] <= sizes[layer] for layer in counts)


def test_masks_have_the_exact_counts_and_do_not_depend_on_neighbours():
    shapes = MLP((20, 16, 5)).shapes()
    counts = kept_weights(shapes, 0.7, "er")
    whole = draw_weights(shapes, 0.7, "er", 4, range(5))
    part = draw_weights(shapes, 0.7, "er", 4, range(3, 4))
    for name, mask in whole.items():
        assert mask.flatten(1).sum(1).tolist() == [counts[name]] * 5
        assert torch.equal(mask[3:4], part[name])
        assert not torch.equal(mask[0], mask[1])
    assert "0.bias" not in whole


def test_layers_of_one_shape_get_different_masks():
    """The mistake of reusing one key for all layers, seen in public code (papers.md, section 1)."""
    masks = draw_weights(MLP((8, 8, 8)).shapes(), 0.5, "uniform", 0, range(1))
    assert not torch.equal(masks["0.weight"], masks["1.weight"])
