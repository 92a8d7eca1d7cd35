"""Scoring untrained sub-networks of one parent against a loop that builds each of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common import Row, interleaved, report
from labkit.device import resolve
from labkit.population import MLP, Params, chunks, evaluate
from labkit.search import NodeSpace, fits

IMAGES, SPARSITY = 1000, 0.5


def build(parent: Params, kept: list[torch.Tensor]) -> nn.Sequential:
    """One sub-network as an ordinary module with the parent's rows copied."""
    first, second = kept
    device = parent["0.weight"].device
    net = nn.Sequential(
        nn.Linear(784, len(first)), nn.ReLU(), nn.Linear(len(first), len(second)), nn.ReLU(), nn.Linear(len(second), 10)
    ).to(device)
    with torch.no_grad():
        net[0].weight.copy_(parent["0.weight"][0][first])
        net[0].bias.copy_(parent["0.bias"][0][first])
        net[2].weight.copy_(parent["1.weight"][0][second][:, first])
        net[2].bias.copy_(parent["1.bias"][0][second])
        net[4].weight.copy_(parent["2.weight"][0][:, second])
        net[4].bias.copy_(parent["2.bias"][0])
    return net


def row(width: int, count: int, looped: int, device: torch.device, target: float | None, aim: float | None) -> Row:
    """Candidates a second, drawn, built and scored; the loop draws and builds its own as well."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(IMAGES, 784, generator=generator).to(device)
    y = torch.randint(0, 10, (IMAGES,), generator=generator).to(device)
    arch = MLP((784, width, width, 10))
    parent = arch.init([0], device=device)
    space = NodeSpace(arch, SPARSITY, 0)
    size = fits(space, parent, 128, count)
    left = round((1 - SPARSITY) * width)

    def ours() -> None:
        losses = []
        for which in chunks(count, size):  # the next candidates are drawn while the device scores these
            some = space.candidates(parent, which)
            losses.append(evaluate(some.arch, some.params, x, y, tf32=True).loss)
        torch.cat(losses).cpu()

    @torch.no_grad()
    def theirs() -> None:
        for _ in range(looped):
            kept = [torch.randperm(width, device=device)[:left].sort().values for _ in range(2)]
            F.cross_entropy(build(parent, kept)(x), y).item()

    a, b = interleaved(device, ours, theirs)
    what = f"score untrained sub-networks of 784-{width}-{width}-10 on {IMAGES:,} images"
    return Row(what, "loop that builds each", "networks/s", count / a, looped / b, target, aim)


def main() -> None:
    device = resolve("auto")
    if device.type == "cuda":
        rows = [row(256, 20_000, 100, device, 280, 500), row(64, 20_000, 100, device, 280, 500)]
    else:
        rows = [row(256, 64, 20, device, None, None), row(64, 256, 20, device, None, None)]
    report("Scoring", rows)


if __name__ == "__main__":
    main()
