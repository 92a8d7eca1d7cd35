"""Plain PyTorch, one network at a time: what the engine's results are held against."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def perceptron(params: dict[str, Tensor], member: int) -> nn.Sequential:
    """The member as an ordinary `nn.Sequential` of linear layers and ReLUs."""
    depth = sum(name.endswith("weight") for name in params)
    layers: list[nn.Module] = []
    for i in range(depth):
        weight, bias = params[f"{i}.weight"][member], params[f"{i}.bias"][member]
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype, device=weight.device)
        linear.weight.data, linear.bias.data = weight.clone(), bias.clone()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class ConvNet(nn.Module):
    """Two convolution blocks and a linear layer, named so that its parameters match `CNN((4, 6), (1, 8, 8), 3)`."""

    def __init__(self, channels=(4, 6), image=(1, 8, 8), classes=3) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(image[0], channels[0], 3, padding=1))
        self.add_module("1", nn.Conv2d(channels[0], channels[1], 3, padding=1))
        self.add_module("2", nn.Linear(channels[1] * (image[1] // 4) * (image[2] // 4), classes))

    def forward(self, x: Tensor) -> Tensor:
        for name in ("0", "1"):
            x = F.max_pool2d(F.relu(getattr(self, name)(x)), 2)
        return getattr(self, "2")(x.flatten(1))


def train(module: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, batches: Tensor) -> nn.Module:
    """The usual loop."""
    for rows in batches:
        loss = F.cross_entropy(module(x[rows]), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return module


def difference(params: dict[str, Tensor], member: int, module: nn.Module) -> float:
    """Largest absolute difference between a member's parameters and a module's, in the order of their shapes."""
    own = {tuple(p.shape): p for p in module.parameters()}
    return max((params[n][member] - own[tuple(params[n].shape[1:])]).abs().max().item() for n in params)
