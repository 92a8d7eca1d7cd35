"""Image classifiers that `transformers` reads from a folder: ViT and DeiT layer by layer, any other as one stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from numbers import Number

import torch
from torch import Tensor, nn

from labkit.data.image_models import PREPROCESSING, ImageModel
from labkit.data.models import no_bar
from labkit.errors import BadInput
from labkit.finetune.models.parts import new_head
from labkit.finetune.network import Network, Transform, in_order

LAYERED = ("vit", "deit")  # model types whose layers pass on nothing but the hidden states
BYTE = 1 / 255
HEAD = "classifier"


class Readout(nn.Module):
    """The first token, which gathers what the image shows, behind the last norm: [B, tokens, d] to [B, d]."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)[:, 0]


class Body(nn.Module):
    """A whole classifier whose head was taken out: what the head would be given."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(pixel_values=x).logits


def build(files: ImageModel, classes: int) -> Network:
    """The network of a folder with config.json, preprocessor_config.json and weights in safetensors.

    ViT and DeiT get the embeddings, each layer, and the last norm with the class token as stages; any other
    architecture is one stage, in front of its head.

    Raises:
        BadInput: no image classifier, one whose `classifier` does not end in a linear layer, missing weights, or
            preprocessing that is neither a size nor a normalisation.
    """
    model = _read(files)
    head = getattr(model, HEAD, None)
    before = []
    if type(head) is nn.Sequential and len(head):  # as that of ResNet: flatten, linear
        *before, head = head
    if not isinstance(head, nn.Linear):
        found = type(model).__name__
        raise BadInput("model", files.name, f"a model whose {HEAD} ends in a linear layer; that of {found} does not")
    setattr(model, HEAD, nn.Identity())
    stages = [*_stages(model), *([nn.Sequential(*before)] if before else []), new_head(head.in_features, classes)]
    said = f"the head for {head.out_features:,} classes is replaced by a new one for {classes} classes"
    return Network(files.name, in_order(stages), str(len(stages) - 1), _transform(files, model.config), said)


def _read(files: ImageModel) -> nn.Module:
    from transformers import AutoModelForImageClassification

    kept = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
    # Attention written out: the fused one has no derivative under `vmap`.
    asked = {"dtype": torch.float32, "attn_implementation": "eager", "output_loading_info": True}
    try:
        with no_bar(), torch.random.fork_rng(devices=[]):  # a head that is missing would be drawn, and then replaced
            model, report = AutoModelForImageClassification.from_pretrained(files.path, **kept, **asked)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        allowed = f"an image classifier that transformers reads; it says: {reason[0]}"
        raise BadInput("model", files.name, allowed) from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(f"{HEAD}."))
    if missing:
        raise BadInput("model", files.name, f"weights for every layer; {missing[0]} is missing in {files.path}")
    return model.eval()


def _stages(model: nn.Module) -> list[nn.Module]:
    """Everything before the head."""
    base = getattr(model, model.base_model_prefix, None)
    layers = getattr(base, "layers", None) or getattr(getattr(base, "encoder", None), "layer", None)
    if model.config.model_type in LAYERED and layers is not None:
        return [base.embeddings, *layers, Readout(base.layernorm)]
    return [Body(model)]


def _transform(files: ImageModel, config: object) -> Transform:
    """What the folder says of its images. A model that crops is given whole images of the size it crops to."""
    asked = json.loads((files.path / PREPROCESSING).read_text(encoding="utf-8"))

    def refuse(allowed: str) -> BadInput:
        return BadInput("model", files.name, f"{allowed} in {PREPROCESSING}")

    size = getattr(config, "image_size", None) or (asked.get("do_center_crop", True) and asked.get("crop_size"))
    size = _pair(size or asked.get("size"))
    if size is None:
        raise refuse("a size of the images")
    factor = asked.get("rescale_factor", BYTE) if asked.get("do_rescale", True) else 1.0
    if abs(factor - BYTE) > 1e-6:
        raise refuse(f"pixels from 0 to 1, that is rescale_factor 1/255, not {factor:.6g},")
    channels = getattr(config, "num_channels", 3)
    mean, std = ((0.0,), (1.0,))
    if asked.get("do_normalize", True):
        mean, std = (_each(asked.get(f"image_{kind}")) for kind in ("mean", "std"))
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise refuse(f"image_mean and image_std for {channels} channels")
    return Transform(size, channels, mean, std)


def _each(value: Sequence[float] | float | None) -> tuple[float, ...]:
    if isinstance(value, Number):
        return (float(value),)
    return tuple(float(number) for number in value or ())


def _pair(size: object) -> tuple[int, int] | None:
    """Height and width of what a configuration calls a size: a number, a pair, or a dictionary."""
    if isinstance(size, dict):
        size = size.get("shortest_edge") or (size.get("height"), size.get("width"))
    if isinstance(size, int):
        return (size, size)
    if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(side, int) for side in size):
        return (size[0], size[1])
    return None
