"""Private training of a population against Opacus, one network at a time, on the same Poisson draws."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch
from opacus.grad_sample import GradSampleModule, GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from benchmarks.common import Row, interleaved, report, seconds
from labkit.device import resolve
from labkit.population import MLP, SGD, Trainer, epoch_batches
from labkit.privacy import Plan, PrivateTrainer
from labkit.sparsity import kept_counts

EXAMPLES, RATE, CLIP, SIGMA = 7000, 0.5, 1.0, 1.1
WIDTHS = (784, 256, 256, 10)
EPSILONS, SPARSITIES, SEEDS, RATES, FRONTIER_STEPS = 12, (0.0, 0.5, 0.8, 0.9, 0.95), 10, 12, 400


def images(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Random inputs and labels of Fashion-MNIST's size."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, WIDTHS[0], generator=generator)
    return x.to(device), torch.randint(0, 10, (EXAMPLES,), generator=generator).to(device)


def population(arch: MLP, count: int, device: torch.device, batch: int, steps: int, draws: int = 1) -> PrivateTrainer:
    """A trainer of `count` networks, on as many draws as asked for."""
    x, y = images(device)
    plan = Plan.noised(noise_multiplier=SIGMA, clip_norm=CLIP, examples=EXAMPLES, batch_size=batch, steps=steps)
    params = {n: t.expand(count, *t.shape[1:]) for n, t in arch.init([0], device=device).items()}
    return PrivateTrainer(
        arch, params, [plan] * count, x, y, learning_rate=RATE, tf32=True,
        draw_keys=range(draws), groups=[k * draws // count for k in range(count)], noise_keys=range(count),
    )  # fmt: skip


def opacus(
    mode: str, device: torch.device, batch: int, steps: int, widths: tuple[int, ...] = WIDTHS
) -> Callable[[], None]:
    """One network trained by Opacus on Poisson draws that lie on the device already."""
    x, y = images(device)
    layers = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())][:-1]
    module = nn.Sequential(*layers).to(device)
    optimiser = torch.optim.SGD(module.parameters(), RATE)
    common = {"noise_multiplier": SIGMA, "max_grad_norm": CLIP, "expected_batch_size": batch}
    criterion = nn.CrossEntropyLoss()
    if mode == "ghost":
        wrapped = GradSampleModuleFastGradientClipping(module, max_grad_norm=CLIP, use_ghost_clipping=True)
        private = DPOptimizerFastGradientClipping(optimiser, **common)
        loss = DPLossFastGradientClipping(wrapped, private, criterion)
    else:
        wrapped, loss = GradSampleModule(module), criterion
        private = DPOptimizer(optimiser, **common)
    draws = (
        Plan.nonprivate("the peer's batches", examples=EXAMPLES, batch_size=batch, steps=steps).sampler([0]).draw(steps)
    )
    batches = [slot[0][slot[0] >= 0].long().to(device) for slot in draws.rows]

    def run() -> None:
        for rows in batches:
            private.zero_grad()
            loss(wrapped(x[rows]), y[rows]).backward()
            private.step()

    return run


def against_opacus(
    count: int,
    device: torch.device,
    batch: int,
    steps: int,
    target: float | None,
    aim: float | None,
    widths: tuple[int, ...] = WIDTHS,
) -> list[Row]:
    """Network-steps a second of a population and of each of Opacus's modes."""
    trainer = population(MLP(widths), count, device, batch, 8 * steps + 10)
    trainer.advance(10)
    peers = {mode: opacus(mode, device, batch, steps, widths) for mode in ("hooks", "ghost")}
    ours, *theirs = interleaved(device, lambda: trainer.advance(steps), *peers.values())
    networks = f"{count:,} networks" if count > 1 else "one network"
    what = f"DP-SGD of {networks} {'-'.join(map(str, widths))}, expected batch {batch}"
    return [
        Row(what, f"Opacus {mode}", "network-steps/s", count * steps / ours, steps / their, target, aim)
        for mode, their in zip(peers, theirs, strict=True)
    ]


def memory(count: int, device: torch.device, batch: int) -> str:
    """Peak memory of private training over that of plain training of the same population."""
    peaks = []
    for private in (False, True):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        if private:
            population(MLP(WIDTHS), count, device, batch, 20).advance(20)
        else:
            x, y = images(device)
            params = {n: t.expand(count, *t.shape[1:]) for n, t in MLP(WIDTHS).init([0], device=device).items()}
            batches = epoch_batches(0, EXAMPLES, batch, 20)
            Trainer(MLP(WIDTHS), params, SGD(RATE, momentum=0.0), x, y, batches, tf32=True).advance(20)
        peaks.append(torch.cuda.max_memory_allocated() / 2**30)
    plain, private = peaks
    what = f"peak memory of {count} networks: plain {plain:.2f} GiB, private {private:.2f} GiB"
    return f"{what}, {private / plain:.2f}x (target: at most 2x)"


def frontier(device: torch.device, batch: int, at_once: int) -> str:
    """Seconds of training of a whole frontier, sparse networks really smaller; draws of ten seeds."""
    total, networks = 0.0, EPSILONS * SEEDS * RATES
    for sparsity in SPARSITIES:
        arch = MLP((784, *kept_counts(WIDTHS[1:-1], sparsity), 10))
        for start in range(0, networks, at_once):
            count = min(at_once, networks - start)
            trainer = population(arch, count, device, batch, FRONTIER_STEPS, draws=min(SEEDS, count))
            total += seconds(lambda trainer=trainer: trainer.advance(FRONTIER_STEPS), device)
            del trainer
    every = networks * len(SPARSITIES)
    return (
        f"frontier: {EPSILONS} epsilons x {len(SPARSITIES)} sparsities x {SEEDS} seeds x {RATES} learning rates ="
        f" {every:,} networks x {FRONTIER_STEPS} steps: {total:.1f} s of training (target 60 s),"
        f" {every * FRONTIER_STEPS / total:,.0f} network-steps/s"
    )


def main() -> None:
    device = resolve("auto")
    start = time.perf_counter()
    if device.type == "cuda":
        rows = against_opacus(512, device, 256, 40, 200, 400) + against_opacus(1, device, 256, 200, 10, None)
        report("Private training", rows)
        print(memory(512, device, 256), flush=True)
        print(frontier(device, 256, 480), flush=True)
    else:
        rows = against_opacus(16, device, 256, 5, 4, None)
        rows += against_opacus(16, device, 128, 20, 4, None, (784, 64, 64, 10))
        report("Private training", rows)
    print(f"({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
