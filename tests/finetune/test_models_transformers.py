from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    DeiTConfig,
    DeiTForImageClassification,
    DeiTForImageClassificationWithTeacher,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from labkit.data.image_models import PREPROCESSING
from labkit.errors import BadInput
from labkit.finetune.models import load_network
from labkit.finetune.models.transformers import _transform
from labkit.finetune.network import FrozenNorm, Transform

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 8,
    "patch_size": 4, "num_labels": 5,
}  # fmt: skip
RESIDUAL = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 2], "layer_type": "basic", "num_labels": 5}
PREPARED = {"do_rescale": True, "do_normalize": True, "size": {"height": 8, "width": 8}}
CONSTANTS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}


def saved(folder: Path, model: nn.Module, prepared: dict | None = None) -> Path:
    """A folder as the Hub has it."""
    model.save_pretrained(folder)
    (folder / PREPROCESSING).write_text(json.dumps(PREPARED | CONSTANTS | (prepared or {})))
    return folder


def drawn(make: Callable[[], nn.Module]) -> nn.Module:
    """A model with weights and statistics that are nobody's default."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make().eval()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor += torch.rand_like(tensor) if name.endswith("running_var") else 0.1 * torch.randn_like(tensor)
    return model


@pytest.fixture(scope="module", params=["deit", "vit"])
def transformer(request, tmp_path_factory) -> tuple[Path, nn.Module]:
    kinds = {
        "deit": lambda: DeiTForImageClassification(DeiTConfig(**SMALL)),
        "vit": lambda: ViTForImageClassification(ViTConfig(**SMALL)),
    }
    model = drawn(kinds[request.param])
    return saved(tmp_path_factory.mktemp(request.param), model), model


@pytest.fixture(scope="module")
def resnet(tmp_path_factory) -> tuple[Path, nn.Module]:
    model = drawn(lambda: ResNetForImageClassification(ResNetConfig(**RESIDUAL)))
    return saved(tmp_path_factory.mktemp("resnet"), model, {"size": {"shortest_edge": 32}}), model


def test_a_transformer_is_cut_into_its_layers(transformer):
    folder, model = transformer
    network = load_network(str(folder), 3)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, expected = model.classifier(network.stages[:-1](images)), model(images).logits
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1
    assert (len(network.stages), network.head, network.classes) == (5, "4", 3)
    assert network.stages[-1].in_features == 16
    assert network.transform == Transform((8, 8), 3, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert network.said == "the head for 5 classes is replaced by a new one for 3 classes"
    layers = network.layers()
    assert layers.pop("0.patch_embeddings.projection") == (16, 48)
    assert [name.split(".")[0] for name in layers] == ["1"] * 6 + ["2"] * 6  # query, key, value, output, and the MLP
    assert sorted(set(layers.values())) == [(16, 16), (16, 24), (24, 16)]


def test_another_architecture_is_one_stage_before_its_head(resnet):
    folder, model = resnet
    network = load_network(str(folder), 4)
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits, expected = model.classifier[1](network.stages[:-1](images)), model(images).logits
        alone = torch.cat([network.stages[:-1](image[None]) for image in images])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(network.stages[:-1](images), alone, rtol=1e-4, atol=1e-5)
    assert (len(network.stages), network.head) == (3, "2")  # the body, its flattening, the head
    norms = [layer for layer in network.stages.modules() if isinstance(layer, FrozenNorm)]
    assert len(norms) == sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    assert all(name.startswith("0.") for name in network.layers())


def test_nothing_is_drawn_shown_or_downloaded(transformer, capfd):
    before = torch.get_rng_state()
    network = load_network(str(transformer[0]), 3)
    assert torch.equal(before, torch.get_rng_state())
    assert not network.stages[-1].weight.any()
    assert "%" not in capfd.readouterr().err


def test_weights_without_a_head_do(transformer, tmp_path):
    folder, model = transformer
    saved(tmp_path, model)
    kept = {name: t for name, t in load_file(folder / "model.safetensors").items() if not name.startswith("classifier")}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    before = torch.get_rng_state()
    network = load_network(str(tmp_path), 3)
    assert torch.equal(before, torch.get_rng_state())
    images = torch.ones(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network.stages[:-1](images), load_network(str(folder), 3).stages[:-1](images))


def test_weights_that_are_missing_are_named_and_never_drawn(transformer, tmp_path):
    folder, model = transformer
    saved(tmp_path, model)
    kept = load_file(folder / "model.safetensors")
    lost = next(name for name in sorted(kept) if name.endswith("layernorm_before.weight"))
    del kept[lost]
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match=r"weights for every layer; .*layernorm_before\.weight is missing"):
        load_network(str(tmp_path), 3)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**SMALL)),
            "whose classifier ends in a linear layer; that of DeiTForImageClassificationWithTeacher does not",
        ),
        (
            lambda: BertModel(BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)),
            "an image classifier that transformers reads; it says",
        ),
    ],
)
def test_models_of_another_form(tmp_path, make, line):
    with pytest.raises(BadInput, match=line) as caught:
        load_network(str(saved(tmp_path, make())), 3)
    assert "\n" not in str(caught.value)


class Config:
    """The two fields of a configuration that matter here."""

    def __init__(self, **fields: object) -> None:
        self.__dict__ |= fields


@pytest.mark.parametrize(
    ("prepared", "config", "transform"),
    [
        ({"size": 8, "image_mean": 0.5, "image_std": 0.25}, {}, Transform((8, 8), 3, (0.5,) * 3, (0.25,) * 3)),
        ({"size": [6, 8]} | CONSTANTS, {}, Transform((6, 8), 3, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))),
        (
            {"size": {"shortest_edge": 9}, "crop_size": {"height": 8, "width": 7}, "do_normalize": False},
            {},
            Transform((8, 7), 3, (0.0,) * 3, (1.0,) * 3),
        ),
        (
            {"size": {"shortest_edge": 9}, "crop_size": 8, "do_center_crop": False, "do_normalize": False},
            {"num_channels": 1},
            Transform((9, 9), 1, (0.0,), (1.0,)),
        ),
        (
            {"size": 256, "crop_size": 224} | CONSTANTS,
            {"image_size": 8},
            Transform((8, 8), 3, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
        ),
    ],
)
def test_what_a_folder_says_of_its_images(image_files, prepared, config, transform):
    assert _transform(image_files(prepared), Config(**config)) == transform


@pytest.mark.parametrize(
    ("prepared", "line"),
    [
        (CONSTANTS, "a size of the images"),
        ({"size": 8, "image_mean": [0.5], "image_std": [0.2, 0.2]}, "image_mean and image_std for 3 channels"),
        ({"size": 8}, "image_mean and image_std for 3 channels"),
        ({"size": 8, "image_mean": 0.5, "image_std": 0.0}, "image_mean and image_std for 3 channels"),
        ({"size": 8, "rescale_factor": 1 / 127.5} | CONSTANTS, "rescale_factor 1/255, not 0.00784314"),
        ({"size": 8, "do_rescale": False} | CONSTANTS, "rescale_factor 1/255, not 1"),
    ],
)
def test_preprocessing_that_is_something_else(image_files, prepared, line):
    with pytest.raises(BadInput, match=f"model = 'pets'.*{line}.* in {PREPROCESSING}"):
        _transform(image_files(prepared), Config())


@pytest.fixture
def image_files(tmp_path):
    """A model's files, of which only the preprocessing is there."""
    from labkit.data.image_models import ImageModel

    def made(prepared: dict) -> ImageModel:
        (tmp_path / PREPROCESSING).write_text(json.dumps(prepared))
        return ImageModel("pets", tmp_path, "", "")

    return made
