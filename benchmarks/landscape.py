"""Loss surfaces as populations against loops over single networks, one of them the package loss-landscapes."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common import Row, interleaved, report
from labkit.device import resolve
from labkit.generators import exhaust
from labkit.landscape import plane, random_plane
from labkit.population import CNN, MLP, Architecture

# images in the loss, points a side, points that the loops are timed on
SIZES = {"cuda": (2000, 41, 64), "cpu": (500, 9, 9)}


class Perceptron(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


class ConvNet(nn.Module):
    """Two blocks of convolution (16, 32 channels), ReLU and pooling, then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.last = nn.Linear(32 * 7 * 7, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            x = F.max_pool2d(F.relu(layer(x)), 2)
        return self.last(x.flatten(1))


def loop(net: nn.Module, x: torch.Tensor, y: torch.Tensor, points: int) -> Callable[[], None]:
    """A copy of the network moved along two directions for each point, as one would write it."""
    directions = [[torch.randn_like(p) for p in net.parameters()] for _ in range(2)]

    @torch.no_grad()
    def run() -> None:
        for i in range(points):
            moved = copy.deepcopy(net)
            for p, d, e in zip(moved.parameters(), *directions, strict=True):
                p.add_(d, alpha=i / points).add_(e, alpha=-i / points)
            F.cross_entropy(moved(x), y).item()

    return run


def package(net: nn.Module, x: torch.Tensor, y: torch.Tensor, points: int) -> Callable[[], None]:
    """`loss_landscapes.random_plane` on a grid of about as many points; TF32 as in the others.

    Its directions are made on the default device, which therefore has to be the network's.
    """
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    side = round(points**0.5)
    metric = Loss(nn.CrossEntropyLoss(), x, y)

    def run() -> None:
        with torch.device(x.device):
            loss_landscapes.random_plane(net, metric, 1, side, normalization="filter", deepcopy_model=True)

    return run


def rows(name: str, arch: Architecture, net: nn.Module, x: torch.Tensor, goals: tuple[float | None, ...]) -> list[Row]:
    """Grid points a second of ours, of a loop and of the package where it is installed."""
    device = x.device
    _, size, points = SIZES[device.type]
    y = torch.randint(0, 10, (len(x),), generator=torch.Generator().manual_seed(1)).to(device)
    params = arch.init([0], device=device)
    directions = random_plane(params, torch.Generator().manual_seed(0))

    def ours() -> None:
        exhaust(plane(arch, params, directions.first, directions.second, 1.0, size, x, y, tf32=True)).cpu()

    net = net.to(device)
    what = f"{size} x {size} landscape of {name}, {len(x):,} images"
    a, b = interleaved(device, ours, loop(net, x, y, points))
    made = [Row(what, "loop with copies", "points/s", size**2 / a, points / b, *goals)]
    if importlib.util.find_spec("loss_landscapes"):
        a, b = interleaved(device, ours, package(net, x, y, points))
        made.append(Row(what, "loss-landscapes", "points/s", size**2 / a, points / b))
    return made


def main() -> None:
    device = resolve("auto")
    goals = ((60, 100), (7, 20)) if device.type == "cuda" else ((None, None),) * 2
    images = torch.randn(SIZES[device.type][0], 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(device)
    report(
        "Landscapes",
        [
            *rows("an MLP 784-256-256-10", MLP((784, 256, 256, 10)), Perceptron(), images.flatten(1), goals[0]),
            *rows("a CNN of 16 and 32 channels", CNN((16, 32)), ConvNet(), images, goals[1]),
        ],
    )


if __name__ == "__main__":
    main()
