"""Training a population against a loop over single networks in plain PyTorch."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.common import Row, bandwidth, interleaved, report
from labkit.device import resolve
from labkit.population import MLP, SGD, Trainer, epoch_batches, weights_per_member

BATCH, EXAMPLES, STEPS, RATE = 128, 7000, 200, 0.01


def loop(widths: tuple[int, ...], x: torch.Tensor, y: torch.Tensor, steps: int) -> Callable[[], None]:
    """A function that trains one network for `steps` steps, as one would write it."""
    layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())][:-1]
    net = nn.Sequential(*layers).to(x.device)
    optimiser = torch.optim.SGD(net.parameters(), RATE, momentum=0.9)
    batches = epoch_batches(0, len(y), BATCH, steps).to(x.device)

    def run() -> None:
        for rows in batches:
            loss = F.cross_entropy(net(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return run


def row(width: int, count: int, device: torch.device, steps: int, target: float | None, aim: float | None) -> Row:
    """Network-steps a second of a population, and of the loop."""
    widths = (784, width, width, 10)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, 784, generator=generator).to(device)
    y = torch.randint(0, 10, (EXAMPLES,), generator=generator).to(device)
    arch = MLP(widths)
    params = {n: t.expand(count, *t.shape[1:]) for n, t in arch.init([0], device=device).items()}
    trainer = Trainer(arch, params, SGD(RATE), x, y, epoch_batches(0, EXAMPLES, BATCH, 20 * steps), tf32=True)
    trainer.advance(10)
    ours, theirs = interleaved(device, lambda: trainer.advance(steps), loop(widths, x, y, steps))
    # weights read forward and backward, velocity read and written, weights read and written: five passes at least
    floor = bandwidth(device) / (5 * 4 * weights_per_member(arch.shapes()))
    note = f"{count * steps / ours / floor:.0%} of the memory floor" if device.type == "cuda" else ""
    what = f"train {count:,} MLPs 784-{width}-{width}-10, batch {BATCH}, SGD momentum"
    return Row(what, "loop", "network-steps/s", count * steps / ours, steps / theirs, target, aim, note)


def main() -> None:
    device = resolve("auto")
    if device.type == "cuda":
        rows = [
            row(256, 64, device, STEPS, 120, 300),
            row(256, 256, device, STEPS, None, None),
            row(64, 1024, device, STEPS, 750, 1500),
        ]
    else:
        rows = [
            row(256, 16, device, 10, 4, None),
            row(64, 32, device, 20, 4, None),
            row(26, 32, device, 40, 4, None),
        ]
    report("Training", rows)


if __name__ == "__main__":
    main()
