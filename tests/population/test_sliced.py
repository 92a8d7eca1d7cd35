"""Removed nodes against masked nodes: the same sub-network, computed two ways."""

import pytest
import torch

from labkit.population import CNN, MLP, SGD, Trainer, epoch_batches
from labkit.sparsity import draw_nodes, node_masks

CASES = [(MLP((20, 16, 12, 5)), (16, 12), (20,)), (CNN((4, 6), (1, 8, 8), 5), (4, 6), (1, 8, 8))]


def setting(arch, hidden, dims):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, *dims, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 5, (200,), generator=generator)
    parent = arch.init([7], dtype=torch.float64)
    kept = draw_nodes(hidden, 0.5, 3, range(4))
    return x, y, parent, kept


def by_hand():
    arch = MLP((2, 3, 2))
    parent = {
        "0.weight": torch.arange(6.0).view(1, 3, 2),
        "1.weight": torch.arange(6.0).view(1, 2, 3),
        "0.bias": torch.tensor([[0.1, 0.2, 0.3]]),
        "1.bias": torch.tensor([[1.0, 2.0]]),
    }
    return arch.sliced(parent, [torch.tensor([[0, 2]])])


def test_by_hand():
    small, params = by_hand()
    assert small.widths == (2, 2, 2)
    assert params["0.weight"].tolist() == [[[0, 1], [4, 5]]]
    assert params["1.weight"].tolist() == [[[0, 2], [3, 5]]]
    torch.testing.assert_close(params["0.bias"], torch.tensor([[0.1, 0.3]]))
    assert params["1.bias"].tolist() == [[1, 2]]


@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-12), (50, 1e-9)])
@pytest.mark.parametrize(("arch", "hidden", "dims"), CASES, ids=["mlp", "cnn"])
def test_removed_equals_masked(arch, hidden, dims, steps, tolerance):
    x, y, parent, kept = setting(arch, hidden, dims)
    batches = epoch_batches(0, 200, 32, steps)
    small, params = arch.sliced(parent, kept)
    removed = Trainer(small, params, SGD(0.1, 0.9, 0.01), x, y, batches)
    masks = {name: mask.double() for name, mask in node_masks(arch.shapes(), kept).items()}
    wide = {name: tensor.expand(4, *tensor.shape[1:]) for name, tensor in parent.items()}
    masked = Trainer(arch, wide, SGD(0.1, 0.9, 0.01), x, y, batches, masks=masks)
    removed.advance(steps)
    masked.advance(steps)
    torch.testing.assert_close(removed.losses, masked.losses, rtol=tolerance, atol=tolerance)
    for k in range(4):
        one = {name: tensor[k : k + 1] for name, tensor in masked.params.items()}
        _, cut = arch.sliced(one, [index[k : k + 1] for index in kept])
        for name, tensor in cut.items():
            assert (tensor[0] - removed.params[name][k]).abs().max() < tolerance
    weights = sum(t[0].numel() for t in removed.params.values())
    assert weights == sum(int(m[0].sum()) for m in masks.values())
