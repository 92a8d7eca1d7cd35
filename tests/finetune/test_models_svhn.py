from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from labkit.data import load, split
from labkit.data.image_models import find_image_model
from labkit.finetune.models import load_network
from labkit.finetune.network import FrozenNorm, Network, Transform


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    return load_file(find_image_model("svhn-cnn").path)


@pytest.fixture(scope="module")
def network() -> Network:
    return load_network("svhn-cnn", 10)


@pytest.fixture(scope="module")
def original(tensors) -> nn.Module:
    """The source package's module, `SVHNNet` of ccexam 1.0.0, in eval mode and float64."""

    def block(inputs: int, outputs: int) -> nn.Sequential:
        first = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        then = [nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        return nn.Sequential(*first, *then, nn.MaxPool2d(2))

    made = nn.Sequential()
    made.features = nn.Sequential(block(3, 32), block(32, 64), block(64, 128))
    made.flatten = nn.Flatten()
    made.classifier = nn.Sequential(
        nn.Dropout(0.3), nn.Linear(2048, 256), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(256, 10)
    )
    found = made.load_state_dict(tensors, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)
    return made.double().eval()


def test_stages_compute_what_the_original_does(network, original, tensors):
    stages = network.stages.double()
    try:
        images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
        with torch.no_grad():
            hidden = stages[:-1](images)
            logits = hidden @ tensors["classifier.4.weight"].double().T + tensors["classifier.4.bias"].double()
            expected = original(images)
    finally:
        stages.float()
    assert expected.std() > 1
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_by_hand_what_has_rows(network):
    convolutions = {"0": (32, 27), "3": (32, 288), "7": (64, 288), "10": (64, 576), "14": (128, 576), "17": (128, 1152)}
    assert network.layers() == convolutions | {"22": (256, 2048)}
    assert (network.head, network.classes, len(network.stages)) == ("24", 10, 25)


def test_images_are_prepared_as_the_package_does(network):
    assert network.transform == Transform((32, 32), 3, (0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197))


def test_biases_are_the_norms_and_the_linear_layers(network):
    biases = [name for name in network.parameters() if name.endswith(".bias")]
    kinds = [type(network.stages.get_submodule(name.removesuffix(".bias"))) for name in biases]
    assert kinds == [FrozenNorm] * 6 + [nn.Linear] * 2


def test_the_head_is_new_and_nothing_is_drawn():
    before = torch.get_rng_state()
    network = load_network("svhn-cnn", 3)
    assert torch.equal(before, torch.get_rng_state())
    head = network.stages.get_submodule(network.head)
    assert tuple(head.weight.shape) == (3, 256)
    assert not head.weight.any()
    assert not head.bias.any()
    assert network.said == "the head for 10 digits of SVHN is replaced by a new one for 3 classes"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=5))
def test_an_image_is_read_alone(chosen):
    network = load_network("svhn-cnn", 10)
    images = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        together, some = network.stages[:-1](images), network.stages[:-1](images[chosen])
    torch.testing.assert_close(some, together[chosen], rtol=1e-4, atol=1e-4)


def test_house_numbers_help_with_handwriting(network, tensors):
    """The public network was never shown a handwritten digit, and its own head still reads most of them (70 %)."""
    parts = split(load("mnist_5k"), split_seed=0)
    images = network.transform(parts.pixels(parts.test)[:300])
    with torch.no_grad():
        hidden = network.stages[:-1](images)
        logits = hidden @ tensors["classifier.4.weight"].T + tensors["classifier.4.bias"]
    accuracy = (logits.argmax(1) == parts.test.y[:300]).float().mean()
    assert accuracy > 0.5
