"""Every family in the hands of the engine: clipped so widely that nothing is clipped, sums are plain gradients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import (
    DeiTConfig,
    DeiTForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from labkit.data.image_models import PREPROCESSING
from labkit.finetune.models import load_network
from labkit.finetune.network import Network
from labkit.finetune.tail import Tail

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 8,
    "patch_size": 4,
}  # fmt: skip
TINY = {
    "vit": lambda: ViTForImageClassification(ViTConfig(**SMALL)),
    "deit": lambda: DeiTForImageClassification(DeiTConfig(**SMALL)),
    "resnet": lambda: ResNetForImageClassification(
        ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 2], layer_type="basic")
    ),
}


@pytest.fixture(scope="module", params=["svhn-cnn", "efficientnet-lite0", *TINY])
def network(request, tmp_path_factory) -> Network:
    if request.param not in TINY:
        return load_network(request.param, 3)
    folder: Path = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        TINY[request.param]().eval().save_pretrained(folder)
    prepared = {"size": 16, "image_mean": 0.5, "image_std": 0.5}
    (folder / PREPROCESSING).write_text(json.dumps(prepared))
    return load_network(str(folder), 3)


@pytest.mark.parametrize("moves", ["everything", "weights", "biases", "norms"])
def test_sums_are_the_gradients_of_plain_training(network, moves):
    layers, norms = set(network.layers()), {
        name for name, layer in network.stages.named_modules() if "Norm" in type(layer).__name__
    }  # fmt: skip
    chosen = {
        "everything": lambda layer, kind: True,
        "weights": lambda layer, kind: layer in layers and kind == "weight",
        "biases": lambda layer, kind: kind == "bias",
        "norms": lambda layer, kind: layer in norms,
    }[moves]
    whole = [
        name for name in network.parameters()
        if name.startswith(network.head) or (name.endswith(("weight", "bias")) and chosen(*name.rsplit(".", 1)))
    ]  # fmt: skip
    drawing = torch.Generator().manual_seed(0)
    tail = Tail(network, whole)
    params = tail.start(network.drawn_head(drawing))
    images = torch.randn(3, network.transform.channels, *network.transform.size, generator=drawing)
    x, y = tail.features(images), torch.tensor([0, 2, 1])
    sums = {name: torch.zeros_like(value) for name, value in params.items()}
    tail.clipped_sum(params, x, y, sums, clip=torch.tensor([1e9]), weight=torch.ones(1, 3), fresh=True)

    plain = nn.Sequential(*network.stages)
    own = {name: value[0].clone().requires_grad_() for name, value in params.items()}
    loss = F.cross_entropy(torch.func.functional_call(plain, own, (images,)), y, reduction="sum")
    for name, expected in zip(own, torch.autograd.grad(loss, list(own.values())), strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(sums[name][0], expected, rtol=1e-3, atol=1e-4 * scale + 1e-8)
