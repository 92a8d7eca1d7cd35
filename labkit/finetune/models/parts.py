"""What the families have in common: modules that come without drawn weights, and a sum with what went in."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import skip_init


def new_head(inputs: int, classes: int) -> nn.Linear:
    """A linear layer of zeros."""
    head = skip_init(nn.Linear, inputs, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A linear layer of given weights [out, in] and biases [out]."""
    made = skip_init(nn.Linear, weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight), nn.Parameter(bias)
    return made


def convolution(
    weight: Tensor, *, stride: tuple[int, int] = (1, 1), padding: tuple[int, int] = (0, 0), groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias of given filters [out, in / groups, height, width]."""
    out, each, *kernel = weight.shape
    made = skip_init(
        nn.Conv2d, each * groups, out, tuple(kernel), stride=stride, padding=padding, groups=groups, bias=False
    )
    made.weight = nn.Parameter(weight)
    return made


class Residual(nn.Module):
    """What a branch makes of its input, added to the input."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)
