"""A public network as a row of stages with a new head, and what it expects of an image.

Stages let training begin where the first moving number is: what lies before is computed once for each image.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.errors import BadInput

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@dataclass(frozen=True)
class Transform:
    """What a public model expects of its images.

    Args:
        size: height and width.
        channels: of an image.
        mean, std: of each channel, for pixels in 0..1; constants of the public model.
    """

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Images [n, c, h, w] in 0..1 as float32 [n, channels, *size]: gray repeated, resized, normalised.

        Raises:
            BadInput: images of other channels that are not gray.
        """
        if pixels.shape[1] not in (1, self.channels):
            raise BadInput(
                "data", f"images of {pixels.shape[1]} channels", f"1 channel, or the model's {self.channels}"
            )
        images = pixels.float()
        if tuple(images.shape[2:]) != self.size:
            images = F.interpolate(images, self.size, mode="bilinear", antialias=True, align_corners=False)
        images = images.expand(-1, self.channels, -1, -1)
        mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return (images - mean) / std

    def said(self, shape: Sequence[int], name: str) -> str:
        """What it changes in images [c, h, w], in words; empty where it only normalises them."""
        wanted = (self.channels, *self.size)
        if tuple(shape) == wanted:
            return ""
        before, after = (" x ".join(str(number) for number in numbers) for numbers in (shape, wanted))
        return f"images of {before} become {after}, as {name} expects"


class FrozenNorm(nn.Module):
    """A BatchNorm in eval mode: statistics of the public data, so that every example is normalised alone.

    Args:
        weight, bias: scale and shift of each channel, which may move.
        mean, var: the public statistics, which never do.
    """

    def __init__(self, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", (var + eps).sqrt())

    @classmethod
    def of(cls, norm: nn.modules.batchnorm._BatchNorm) -> FrozenNorm:
        """The same function as a BatchNorm in eval mode."""
        ones = torch.ones_like(norm.running_mean)
        weight, bias = (norm.weight.data, norm.bias.data) if norm.affine else (ones, torch.zeros_like(ones))
        return cls(weight, bias, norm.running_mean, norm.running_var, norm.eps)

    def forward(self, x: Tensor) -> Tensor:
        """scale * (x - mean) / deviation + shift of each channel of [B, C, ...]."""
        shape, scale = (1, -1, *[1] * (x.dim() - 2)), self.weight / self.deviation
        return torch.addcmul((self.bias - self.mean * scale).view(shape), x, scale.view(shape))


def freeze(module: nn.Module) -> nn.Module:
    """A copy in which every example passes alone: BatchNorm with frozen statistics, no dropout, nothing in place.

    Raises:
        BadInput: a BatchNorm in train mode, which would mix the examples of a batch, one without statistics, or a
            subclass of one.
    """
    module = copy.deepcopy(module)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return _frozen_norm("", module)
    for name, layer in list(module.named_modules()):
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            _replace(module, name, _frozen_norm(name, layer))
        elif isinstance(layer, nn.modules.dropout._DropoutNd):
            _replace(module, name, nn.Identity())
        elif getattr(layer, "inplace", False):
            layer.inplace = False  # what a layer gave must stay as it was until its gradient is known
    return module.eval().requires_grad_(False)


def _frozen_norm(name: str, norm: nn.modules.batchnorm._BatchNorm) -> FrozenNorm:
    if type(norm) not in BATCH_NORMS:
        raise BadInput("model", f"{type(norm).__name__} {name}", "BatchNorm itself: a subclass may compute anything")
    if norm.training or norm.running_mean is None:
        state = "in train mode" if norm.training else "without running statistics"
        allowed = "a model in eval mode with running statistics: in train mode an example's gradient depends on others"
        raise BadInput("model", f"{type(norm).__name__} {name} {state}", allowed)
    return FrozenNorm.of(norm).requires_grad_(False)


def _replace(module: nn.Module, name: str, layer: nn.Module) -> None:
    if name:
        parent, _, child = name.rpartition(".")
        setattr(module.get_submodule(parent), child, layer)


@dataclass(frozen=True, eq=False)
class Network:
    """A public network, ready to be fine-tuned.

    Args:
        name: of the public model.
        stages: modules that the images pass one after another; frozen (`freeze`).
        head: name of the last layer inside `stages`, an `nn.Linear` that is new and alone in the last stage.
        transform: what the network expects of its images.
        said: what was replaced, in words.

    Raises:
        BadInput: stages that mix examples, or a head that is not a linear layer.
    """

    name: str
    stages: nn.Sequential
    head: str
    transform: Transform
    said: str = ""

    def __post_init__(self) -> None:
        for name, layer in self.stages.named_modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                raise BadInput("model", f"{type(layer).__name__} {name}", "frozen statistics alone: see `freeze`")
        if not isinstance(self.stages.get_submodule(self.head), nn.Linear):
            raise BadInput("model", f"{self.name} with the head {self.head}", "a linear layer as its head")
        self.stages.eval().requires_grad_(False)

    @property
    def classes(self) -> int:
        return self.stages.get_submodule(self.head).out_features

    def to(self, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Network:
        """A copy on another device, or in another format."""
        return replace(self, stages=copy.deepcopy(self.stages).to(device=device, dtype=dtype))

    def parameters(self) -> dict[str, Tensor]:
        """All numbers of the network by their names, the head's included; not to be written."""
        return {name: tensor.detach() for name, tensor in self.stages.named_parameters()}

    def weight_layers(self) -> dict[str, nn.Module]:
        """Linear layers and convolutions in their order, without the head."""
        kinds = (nn.Linear, nn.Conv2d)
        return {n: m for n, m in self.stages.named_modules() if isinstance(m, kinds) and n != self.head}

    def layers(self) -> dict[str, tuple[int, int]]:
        """The weight layers that have rows: name -> (rows, numbers in a row).

        A row is what makes one output: a node's weights in a linear layer, a filter of a convolution.
        """
        return {n: (m.weight.shape[0], m.weight[0].numel()) for n, m in self.weight_layers().items()}

    def stage_of(self, parameter: str) -> int:
        """The number of the stage that holds a parameter."""
        return int(parameter.split(".", 1)[0])

    def late(self, layers: int) -> int:
        """The first stage behind the last weight layer that stays frozen if only the last `layers` of them may move,
        the head counted; 0 layers stands for all. A stage that holds a frozen layer is frozen whole.

        Raises:
            BadInput: more layers than there are.
        """
        names = [*self.weight_layers(), self.head]
        if layers > len(names):
            raise BadInput("layers", layers, f"at most the {len(names)} weight layers of {self.name}, or 0 for all")
        return 0 if layers in (0, len(names)) else self.stage_of(names[-layers - 1]) + 1

    def drawn_head(self, generator: torch.Generator) -> dict[str, Tensor]:
        """A new head's weight, uniform within 1 / sqrt(inputs) as `nn.Linear` begins, and its bias of zero."""
        head = self.stages.get_submodule(self.head)
        bound = head.in_features**-0.5
        weight = (torch.rand(head.weight.shape, generator=generator) * 2 - 1) * bound
        return {f"{self.head}.weight": weight, f"{self.head}.bias": torch.zeros(head.out_features)}


def in_order(modules: Sequence[nn.Module]) -> nn.Sequential:
    """Stages from frozen modules."""
    return nn.Sequential(*(freeze(module) for module in modules))
