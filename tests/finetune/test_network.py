"""A public network as stages: its transform by hand, frozen statistics against BatchNorm's, which layers are late."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CLASSES, TRANSFORM, network
from torch import nn

from labkit.errors import BadInput
from labkit.finetune.network import FrozenNorm, Network, Transform, freeze, in_order


def test_a_transform_by_hand():
    """Gray is repeated, then each channel is normalised by its own constants."""
    transform = Transform((1, 2), 3, (0.5, 0.25, 0.0), (0.5, 0.25, 1.0))
    made = transform(torch.tensor([[[[0.0, 1.0]]]]))
    assert made.tolist() == [[[[-1.0, 1.0]], [[-1.0, 3.0]], [[0.0, 1.0]]]]
    assert made.dtype == torch.float32
    assert transform.said((1, 1, 2), "a model") == "images of 1 x 1 x 2 become 3 x 1 x 2, as a model expects"
    assert transform.said((3, 1, 2), "a model") == ""
    with pytest.raises(BadInput, match="2 channels"):
        transform(torch.zeros(1, 2, 1, 2))


def test_images_are_resized_smoothly_and_alone():
    transform = Transform((4, 4), 1, (0.0,), (1.0,))
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    made = transform(images)
    expected = F.interpolate(images, (4, 4), mode="bilinear", antialias=True, align_corners=False)
    assert torch.equal(made, expected)
    assert not torch.allclose(made, F.interpolate(images, (4, 4), mode="bilinear"), atol=1e-3)  # aliased
    assert torch.equal(transform(images[2:3]), made[2:3])
    assert transform(torch.full((1, 1, 8, 8), 0.3)).flatten().tolist() == pytest.approx([0.3] * 16)
    assert torch.equal(transform(made), made)  # of the right size already


def norm_of(channels: int, seed: int, affine: bool = True, kind=nn.BatchNorm2d) -> nn.Module:
    generator, made = torch.Generator().manual_seed(seed), kind(channels, affine=affine).double().eval()
    made.running_mean.copy_(torch.randn(channels, generator=generator))
    made.running_var.copy_(torch.rand(channels, generator=generator) + 0.1)
    if affine:
        made.weight.data.copy_(torch.randn(channels, generator=generator))
        made.bias.data.copy_(torch.randn(channels, generator=generator))
    return made


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm1d, ()), (nn.BatchNorm1d, (5,)), (nn.BatchNorm2d, (3, 4)), (nn.BatchNorm3d, (2, 3, 2))],
)
@given(seed=st.integers(0, 99), affine=st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_frozen_norm_is_the_batch_norm_in_eval_mode(kind, shape, seed, affine):
    norm = norm_of(3, seed, affine, kind)
    frozen, generator = FrozenNorm.of(norm), torch.Generator().manual_seed(seed + 1)
    x = torch.randn(4, 3, *shape, generator=generator).double()
    torch.testing.assert_close(frozen(x), norm(x), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(frozen(x[:1]), frozen(x)[:1], rtol=0, atol=0)  # nothing of the batch
    assert [name for name, _ in frozen.named_parameters()] == ["weight", "bias"]


def leaves(module: nn.Module) -> list[nn.Module]:
    return [layer for layer in module.modules() if not list(layer.children())]


def test_freezing_takes_what_mixes_examples_and_what_writes_over():
    inner = nn.Sequential(nn.Conv2d(2, 3, 1), norm_of(3, 0).float())
    given = nn.Sequential(inner, nn.ReLU(inplace=True), nn.Dropout(0.5))
    made = freeze(given.eval())
    kinds = [type(layer) for layer in leaves(made)]
    assert kinds == [nn.Conv2d, FrozenNorm, nn.ReLU, nn.Identity]
    assert not made[1].inplace
    assert not any(tensor.requires_grad for tensor in made.parameters())
    assert not any(layer.training for layer in made.modules())
    assert [type(layer) for layer in leaves(given)][1:] == [nn.BatchNorm2d, nn.ReLU, nn.Dropout]  # a copy
    assert given[1].inplace
    assert isinstance(freeze(norm_of(3, 0)), FrozenNorm)
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(made(x), given(x))


class Scaled(nn.BatchNorm2d):
    """Computes something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


@pytest.mark.parametrize(
    ("norm", "said"),
    [
        (nn.BatchNorm2d(2).train(), "in train mode"),
        (nn.BatchNorm2d(2, track_running_stats=False).eval(), "without running statistics"),
        (Scaled(2).eval(), "a subclass may compute anything"),
    ],
)
def test_other_batch_norms_are_refused(norm, said):
    for module in (norm, nn.Sequential(nn.ReLU(), norm)):
        with pytest.raises(BadInput, match=said):
            freeze(module)
    with pytest.raises(BadInput, match="frozen statistics alone"):
        Network("n", nn.Sequential(norm, nn.Linear(2, 3)), "1", TRANSFORM)


def test_a_head_that_is_not_linear_is_refused():
    with pytest.raises(BadInput, match="a linear layer as its head"):
        Network("n", nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "1", TRANSFORM)


def test_rows_of_layers_by_hand():
    made = network("convolutions")
    assert made.layers() == {"0": (4, 18), "3": (4, 6), "5": (5, 16), "8": (6, 15)}
    assert network("tokens").layers() == {
        "0": (4, 8), "2.query": (3, 4), "2.key": (3, 4), "2.value": (4, 4), "3": (5, 4),
    }  # fmt: skip
    assert made.classes == CLASSES
    assert made.stage_of("10.inner.weight") == 10
    assert not any(tensor.requires_grad for tensor in made.parameters().values())


@pytest.mark.parametrize(("layers", "first"), [(0, 0), (1, 9), (2, 6), (3, 4), (4, 1), (5, 0)])
def test_the_last_layers_by_hand(layers, first):
    """Weight layers stand in stages 0, 3, 5, 8 and 11: two late ones begin behind the convolution in stage 5."""
    assert network("convolutions").late(layers) == first


def test_a_stage_that_holds_a_frozen_layer_is_frozen_whole():
    """Its attention holds three layers: with the last three of six, two of them would have to move."""
    assert [network("tokens").late(layers) for layers in (2, 3, 4, 5, 6)] == [3, 3, 3, 1, 0]
    with pytest.raises(BadInput, match="at most the 6 weight layers"):
        network("tokens").late(7)


def test_a_new_head_is_drawn_as_linear_layers_begin():
    made = network("convolutions")
    head = made.drawn_head(torch.Generator().manual_seed(1))
    assert list(head) == ["11.weight", "11.bias"]
    assert not head["11.bias"].any()
    assert head["11.weight"].shape == (CLASSES, 6)
    # 200 heads: a mean of squares of 3,600 uniform numbers, whose variance is 1/3 within 1: five standard errors
    many = torch.cat([made.drawn_head(torch.Generator().manual_seed(k))["11.weight"].flatten() for k in range(200)])
    assert float(many.abs().max()) <= 6**-0.5
    assert float((many * 6**0.5).square().mean()) == pytest.approx(1 / 3, abs=5 * (4 / 45 / many.numel()) ** 0.5)
    again = made.drawn_head(torch.Generator().manual_seed(1))
    assert torch.equal(head["11.weight"], again["11.weight"])


def test_another_format_is_a_copy():
    made = network("dense")
    other = made.to("cpu", torch.float64)
    assert next(iter(other.parameters().values())).dtype == torch.float64
    assert next(iter(made.parameters().values())).dtype == torch.float32
    assert other.head == made.head
    same = made.to("cpu")
    same.stages[1].weight.data.zero_()
    assert bool(made.stages[1].weight.any())


def test_stages_in_their_order():
    made = in_order([nn.Dropout(0.1), norm_of(2, 0)])
    assert [type(layer) for layer in made] == [nn.Dropout, FrozenNorm]
    assert not made[0].training
