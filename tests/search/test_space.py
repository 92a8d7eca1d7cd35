import pytest
import torch

from labkit.population import CNN, MLP, evaluate
from labkit.search import NodeSpace, WeightSpace

MODELS = [MLP((20, 16, 12, 5)), CNN((6, 8), (1, 8, 8), 5)]


def parent_of(arch, dtype=torch.float64):
    return arch.init([3], dtype=dtype)


def examples(arch):
    generator = torch.Generator().manual_seed(0)
    dims = (20,) if isinstance(arch, MLP) else (1, 8, 8)
    x = torch.randn(60, *dims, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 5, (60,), generator=generator)


@pytest.mark.parametrize("arch", MODELS, ids=["mlp", "cnn"])
@pytest.mark.parametrize("rescale", [False, True])
def test_removed_and_masked_candidates_are_the_same_networks(arch, rescale):
    space = NodeSpace(arch, 0.5, seed=1, rescale=rescale)
    parent, (x, y) = parent_of(arch), examples(arch)
    small, masked = space.candidates(parent, range(4)), space.masked(parent, range(4))
    ours = evaluate(small.arch, small.params, x, y).loss
    torch.testing.assert_close(ours, evaluate(masked.arch, masked.params, x, y).loss, rtol=1e-12, atol=1e-12)
    assert sum(t[0].numel() for t in small.params.values()) == space.parameters()


@pytest.mark.parametrize("arch", MODELS, ids=["mlp", "cnn"])
def test_rescaling_gives_kept_weights_the_scale_of_a_narrow_network(arch):
    """Half the nodes of the layer before: weights grow by sqrt(2); the first layer's fan-in is whole and stays."""
    parent = parent_of(arch)
    plain, scaled = (NodeSpace(arch, 0.5, 1, rescale).candidates(parent, [0]).params for rescale in (False, True))
    torch.testing.assert_close(scaled["0.weight"], plain["0.weight"])
    for layer in (1, 2):
        torch.testing.assert_close(scaled[f"{layer}.weight"], plain[f"{layer}.weight"] * 2**0.5)


def test_rescaled_weight_masks_keep_the_layers_norm_on_average():
    arch = MLP((200, 100, 5))
    parent = parent_of(arch)
    some = WeightSpace(arch, 0.75, 1, rescale=True).candidates(parent, range(20))
    ratio = some.params["0.weight"].square().sum((1, 2)).mean() / parent["0.weight"].square().sum()
    assert 0.95 < ratio < 1.05


@pytest.mark.parametrize("distribution", ["uniform", "er", "erk"])
def test_weight_candidates_count_what_they_keep(distribution):
    space = WeightSpace(MLP((20, 16, 12, 5)), 0.7, 1, distribution=distribution)
    some = space.candidates(parent_of(space.arch), range(3))
    biases = 16 + 12 + 5
    for k in range(3):
        kept = sum(int(mask[k].sum()) for mask in some.masks.values())
        assert kept == round(0.3 * (20 * 16 + 16 * 12 + 12 * 5)) == space.parameters() - biases
        assert all((some.params[n][k][mask[k] == 0] == 0).all() for n, mask in some.masks.items())


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (NodeSpace(MLP((20, 32, 5)), 0.99, 0), "none of its 32 nodes"),
        (WeightSpace(MLP((20, 4, 5)), 0.999, 0), "no weight"),
    ],
    ids=["nodes", "weights"],
)
def test_a_layer_left_empty_is_told(space, words):
    assert words in space.impossible()


def test_a_possible_space_has_nothing_to_tell():
    assert NodeSpace(MLP((20, 32, 5)), 0.9, 0).impossible() is None
    assert WeightSpace(MLP((20, 32, 5)), 0.9, 0).impossible() is None
