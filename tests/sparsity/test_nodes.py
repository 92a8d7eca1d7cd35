import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labkit.population import MLP
from labkit.sparsity import draw_nodes, kept_counts, node_masks
from labkit.sparsity.nodes import BLOCK


def test_counts_by_hand():
    assert kept_counts((256, 100), 0.9) == (26, 10)
    assert kept_counts((256, 256), 0.99) == (3, 3)
    assert kept_counts((32,), 0.99) == (0,)


@given(nodes=st.integers(2, 40), sparsity=st.floats(0, 0.9), seed=st.integers(0, 2**40))
def test_exact_counts_without_repeats(nodes, sparsity, seed):
    (drawn,) = draw_nodes((nodes,), sparsity, seed, range(3))
    assert drawn.shape == (3, kept_counts((nodes,), sparsity)[0])
    for row in drawn.tolist():
        assert row == sorted(set(row))
        assert all(0 <= node < nodes for node in row)


def test_a_candidate_is_the_same_whoever_is_drawn_beside_it():
    whole = draw_nodes((30, 20), 0.5, 9, range(10))
    part = draw_nodes((30, 20), 0.5, 9, range(6, 8))
    assert all(torch.equal(w[6:8], p) for w, p in zip(whole, part, strict=True))
    across = draw_nodes((30, 20), 0.5, 9, [700, 6, BLOCK - 1, BLOCK])
    assert all(torch.equal(w[6], a[1]) for w, a in zip(whole, across, strict=True))
    alone = draw_nodes((30, 20), 0.5, 9, [BLOCK])
    assert all(torch.equal(o[0], a[3]) for o, a in zip(alone, across, strict=True))


def test_every_node_is_as_likely():
    """Chi-square over 4,000 seeded draws of 5 of 20 nodes; false-alarm rate 0.001."""
    (drawn,) = draw_nodes((20,), 0.75, 1, range(4000))
    counts = torch.bincount(drawn.flatten(), minlength=20).numpy()
    # variance of a count: 4000 p (1 - p), spread over 19 free directions because each draw has exactly five nodes
    statistic = ((counts - 1000) ** 2).sum() / (4000 * 0.25 * 0.75 * 20 / 19)
    assert stats.chi2.sf(statistic, 19) > 1e-3
    assert stats.chi2.cdf(statistic, 19) > 1e-3  # too even is wrong too


def test_layers_are_drawn_apart():
    first, second = draw_nodes((30, 30), 0.5, 0, range(20))
    assert not torch.equal(first, second)


def test_masks_by_hand():
    masks = node_masks(MLP((2, 3, 2)).shapes(), [torch.tensor([[0, 2]])])
    assert masks["0.weight"].tolist() == [[[1, 1], [0, 0], [1, 1]]]
    assert masks["1.weight"].tolist() == [[[1, 0, 1], [1, 0, 1]]]
    assert masks["0.bias"].tolist() == [[1, 0, 1]]
    assert masks["1.bias"].tolist() == [[1, 1]]
