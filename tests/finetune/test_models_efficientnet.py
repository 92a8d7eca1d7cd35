from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import nn

from labkit.data.image_models import find_image_model
from labkit.finetune.models import efficientnet, load_network
from labkit.finetune.network import Network


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return efficientnet.read(find_image_model("efficientnet-lite0"))


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("efficientnet-lite0", 10)


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """Two photographs [2, 3, 224, 224] with pixels in 0..1."""
    whole = [np.asarray(Image.fromarray(one).resize((224, 224), 3)) for one in load_sample_images().images]
    return torch.from_numpy(np.stack(whole)).permute(0, 3, 1, 2) / 255


def test_stages_compute_what_the_package_does(network, original):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stages, module = network.stages.double(), original.double()
    try:
        with torch.no_grad():
            logits = module._fc(stages[:-1](images))
            expected = module(images)
    finally:
        stages.float()
        module.float()
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)  # the norms hold float32


def test_by_hand_what_has_rows(network):
    layers = network.layers()
    assert len(layers) == 1 + 2 + 15 * 3 + 1  # the first block is not widened
    assert list(layers.values())[:6] == [(32, 27), (32, 9), (16, 32), (96, 16), (96, 9), (24, 96)]
    assert layers["17.0"] == (1280, 320)
    assert (network.head, network.classes, len(network.stages)) == ("19", 10, 20)
    body = sum(value.numel() for name, value in network.parameters().items() if not name.startswith("19."))
    assert body == 4_652_008 - 1280 * 1000 - 1000  # as published, without the head


def test_layers_are_plain(network):
    assert {type(layer) for layer in network.weight_layers().values()} == {nn.Conv2d}
    depthwise = [layer for layer in network.weight_layers().values() if layer.groups > 1]
    assert len(depthwise) == 16
    assert all(layer.groups == layer.in_channels == layer.out_channels for layer in depthwise)


def test_photographs_have_the_variance_of_the_frozen_statistics(network, original, photographs):
    # Under the constants 0.485 and 0.229 of other networks it is 6.4 times theirs.
    with torch.no_grad():
        seen = original._conv_stem(network.transform(photographs)).var((0, 2, 3))
    ratio = (seen / original._bn0.running_var).median()
    assert 0.5 < ratio < 2


def test_nothing_is_drawn_and_nothing_is_said(capfd):
    before = torch.get_rng_state()
    network = load_network("efficientnet-lite0", 7)
    assert torch.equal(before, torch.get_rng_state())
    assert tuple(network.stages[-1].weight.shape) == (7, 1280)
    assert "1,000 classes of ImageNet" in network.said
    assert capfd.readouterr() == ("", "")
