"""Formulas of each kind of layer against autograd, one member and one example at a time, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.finetune.moving import MovingLinear, Rows, moving
from labkit.finetune.network import FrozenNorm
from labkit.population import norms

K, B = 3, 4


def convolution(*given, **rest) -> nn.Conv2d:
    return nn.Conv2d(*given, **rest)


KINDS = {  # a layer, and the shape of one example
    "linear": (lambda: nn.Linear(3, 4), (3,)),
    "linear over few positions": (lambda: nn.Linear(5, 6), (2, 5)),  # by products of Gram matrices
    "linear over positions": (lambda: nn.Linear(3, 4), (7, 3)),
    "linear over a grid": (lambda: nn.Linear(3, 4), (2, 3, 3)),
    "linear over one place": (lambda: nn.Linear(3, 4), (1, 1, 3)),
    "linear without bias": (lambda: nn.Linear(3, 4, bias=False), (5, 3)),
    "convolution": (lambda: convolution(2, 4, 3, stride=(2, 1), padding=(1, 2)), (2, 5, 4)),
    "dilated convolution": (lambda: convolution(3, 4, (2, 3), dilation=(2, 1), bias=False), (3, 5, 5)),
    "convolution of one place": (lambda: convolution(2, 4, 3), (2, 3, 3)),
    "depthwise convolution": (lambda: convolution(4, 4, (3, 2), stride=(1, 2), padding=(1, 0), groups=4), (4, 4, 5)),
}
WITHOUT_BIAS = ("linear without bias", "dilated convolution")
NORMS = {
    "frozen norm of images": (lambda: FrozenNorm.of(nn.BatchNorm2d(3)), (3, 2, 4)),
    "frozen norm of sequences": (lambda: FrozenNorm.of(nn.BatchNorm1d(3)), (3, 4)),
    "frozen norm of vectors": (lambda: FrozenNorm.of(nn.BatchNorm1d(3)), (3,)),
    "layer norm of vectors": (lambda: nn.LayerNorm(3), (3,)),
    "layer norm of tokens": (lambda: nn.LayerNorm(3), (5, 3)),
    "layer norm of a grid": (lambda: nn.LayerNorm(3), (2, 4, 3)),
}
ROWS = {
    "all": None,
    "shared": torch.tensor([[0, 3]]),
    "of each": torch.tensor([[0, 3], [1, 2], [2, 3]]),
}


def made(kind: str) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A layer, inputs [K, B, ...], gradients at its output, and for each member and example the weight's gradient."""
    build, shape = (KINDS | NORMS)[kind]
    generator = torch.Generator().manual_seed(3)
    with torch.random.fork_rng(devices=[]):
        layer = build().double()
    for tensor in (*layer.parameters(), *layer.buffers()):
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.2)
    x = torch.randn(K, B, *shape, generator=generator, dtype=torch.float64)
    outputs = layer(x.flatten(0, 1)).unflatten(0, (K, B))
    delta = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    return layer, x, delta, generator


def by_autograd(layer: nn.Module, x: Tensor, delta: Tensor, kind: str) -> Tensor:
    """The gradient of one of the layer's parameters, one member and one example at a time: [K, B, ...]."""
    parameter = getattr(layer, kind).requires_grad_()
    each = [
        torch.autograd.grad((layer(x[k, b : b + 1]) * delta[k, b]).sum(), parameter)[0]
        for k in range(K) for b in range(B)
    ]  # fmt: skip
    return torch.stack(each).unflatten(0, (K, B))


def picked(gradient: Tensor, rows: Tensor | None) -> Tensor:
    """The rows that move, [K, B, r, ...]."""
    if rows is None:
        return gradient
    return torch.stack([gradient[k][:, rows[k % len(rows)]] for k in range(K)])


def recorded(form, x: Tensor) -> Tensor:
    return torch.stack([form.record(x[k]) for k in range(K)])


@pytest.mark.parametrize("blocks", ["one", "many"])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_against_autograd(kind, rows, blocks, monkeypatch):
    if blocks == "many":  # a block for each example
        monkeypatch.setattr(norms, "NUMBERS", {"cpu": 1})
    layer, x, delta, _ = made(kind)
    form = moving("a", layer, weight=True, bias=False, rows=ROWS[rows])
    a, expected = recorded(form, x), picked(by_autograd(layer, x, delta, "weight"), ROWS[rows])
    assert form.large
    assert form.small(a, delta) == {}
    assert form.numbers(a, delta) == (0 if kind == "linear" else expected.numel())
    if kind != "linear":
        torch.testing.assert_close(form.each(a, delta), expected, rtol=1e-9, atol=1e-12)
        return
    torch.testing.assert_close(form.squares(a, delta), expected.flatten(2).square().sum(2), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(form.sums(a, delta), expected.sum(1), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(form.absolutes(a, delta), expected.abs().sum(1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in WITHOUT_BIAS])
def test_biases_against_autograd(kind):
    """Positions of one example add up before any norm is taken."""
    layer, x, delta, _ = made(kind)
    form = moving("a", layer, weight=False, bias=True, rows=None)
    assert not form.large
    found = form.small(recorded(form, x), delta)
    torch.testing.assert_close(found["bias"], by_autograd(layer, x, delta, "bias"), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", NORMS)
def test_norms_against_autograd(kind):
    layer, x, delta, _ = made(kind)
    for weight, bias in ((True, True), (True, False), (False, True)):
        form = moving("a", layer, weight=weight, bias=bias, rows=None)
        assert not form.large
        found = form.small(recorded(form, x), delta)
        assert found.keys() == {name for name, moves in (("weight", weight), ("bias", bias)) if moves}
        for name, each in found.items():
            torch.testing.assert_close(each, by_autograd(layer, x, delta, name), rtol=1e-9, atol=1e-12)


def test_rows_by_hand():
    delta = torch.arange(12.0).view(2, 1, 6)  # two members, one example, six outputs
    assert Rows(None).of(delta) is delta
    assert Rows(torch.tensor([[1, 4]])).of(delta).tolist() == [[[1, 4]], [[7, 10]]]
    assert Rows(torch.tensor([[1, 4], [0, 5]])).of(delta).tolist() == [[[1, 4]], [[6, 11]]]
    images = torch.arange(8.0).view(2, 1, 2, 2, 1)  # two channels of two places
    assert Rows(torch.tensor([[1], [0]])).of(images)[:, 0].tolist() == [[[[2], [3]]], [[[4], [5]]]]


def test_a_linear_layer_by_hand():
    """Inputs (1, 2) and (3, -1), gradients (1, 0) and (-1, 2): the weight's sums cancel, absolute values do not."""
    form = MovingLinear(nn.Linear(2, 2), weight=True, bias=True)
    a, delta = torch.tensor([[[1.0, 2.0], [3.0, -1.0]]]), torch.tensor([[[1.0, 0.0], [-1.0, 2.0]]])
    assert form.squares(a, delta).tolist() == [[pytest.approx(5.0), pytest.approx(50.0)]]
    assert form.sums(a, delta).tolist() == [[[-2.0, 3.0], [6.0, -2.0]]]
    assert form.absolutes(a, delta).tolist() == [[[4.0, 3.0], [6.0, 2.0]]]
    assert form.small(a, delta)["bias"].tolist() == [[[1.0, 0.0], [-1.0, 2.0]]]


class Subclass(nn.Linear):
    """Computes anything."""


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        (Subclass(2, 2), None),
        (nn.Conv2d(4, 4, 1, groups=2), None),
        (nn.Conv2d(2, 4, 1, groups=2), None),  # two filters for each channel
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), None),
        (nn.Conv2d(2, 2, 3, padding="same"), None),
        (nn.LayerNorm((2, 3)), None),
        (nn.GroupNorm(1, 2), None),
        (nn.LayerNorm(3), torch.tensor([[0]])),  # a norm has no rows
        (nn.Embedding(3, 2), None),
    ],
)
def test_layers_without_formulas_are_refused(layer, rows):
    with pytest.raises(BadInput, match="per-example gradients"):
        moving("3.inner", layer, weight=True, bias=False, rows=rows)
