"""Private fine-tunes of one public network as a population, against Opacus one by one; and what choosing rows costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from benchmarks.common import Row, interleaved, report
from labkit.device import resolve
from labkit.finetune.method import Setting
from labkit.finetune.methods import METHODS
from labkit.finetune.models import load_network
from labkit.finetune.network import FrozenNorm, Network
from labkit.finetune.tail import Tail
from labkit.privacy import Plan, PrivateTrainer
from labkit.streams import stream

EXAMPLES, BATCH, CLIP, SIGMA, RATE, MOMENTUM = 7000, 256, 1.0, 1.0, 0.1, 0.9
EPSILONS, SEEDS = 5, 5
LATE, SPARSITY, RANK = 2, 0.8, 8
MANY = 4096  # steps that a plan allows: more than are ever timed
METHODS_TIMED = ("head", "head_norm", "bias", "lora", "all", "random")  # rows cost the same, whoever chose them


@register_grad_sampler(FrozenNorm)
def _norm_gradients(layer: FrozenNorm, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
    """Opacus refuses BatchNorm; with frozen statistics it is a scale and a shift."""
    over = tuple(range(2, backprops.dim()))
    found = {}
    if layer.weight.requires_grad:
        shape = (1, -1, *[1] * (backprops.dim() - 2))
        normalised = (activations[0] - layer.mean.view(shape)) / layer.deviation.view(shape)
        found[layer.weight] = (normalised * backprops).sum(over)
    if layer.bias.requires_grad:
        found[layer.bias] = backprops.sum(over)
    return found


def moved(network: Network, name: str, layers: int, seed: int) -> tuple[Network, tuple[str, ...], dict[str, Tensor]]:
    """What one method moves of one network."""
    setting = Setting(network, network.late(layers), SPARSITY, "layer", RANK, stream(seed, "benchmark"))
    moves = METHODS[name].moves(setting)
    return moves.network, moves.whole, moves.rows or {}


def images(network: Network, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images and labels as many as Fashion-MNIST's training split."""
    generator, transform = torch.Generator().manual_seed(0), network.transform
    x = torch.randn(EXAMPLES, transform.channels, *transform.size, generator=generator)
    return x.to(device), torch.randint(0, network.classes, (EXAMPLES,), generator=generator).to(device)


def population(
    network: Network, name: str, layers: int, seeds: int, epsilons: int, device: torch.device
) -> PrivateTrainer:
    """Fine-tunes of some seeds, each with its rows, and some noise multipliers, as one program."""
    each = [moved(network, name, layers, seed) for seed in range(seeds) for _ in range(epsilons)]
    first, whole, rows = each[0]
    tail = Tail(first, whole, {layer: torch.stack([own[layer] for _, _, own in each]) for layer in rows})
    common = {"clip_norm": CLIP, "examples": EXAMPLES, "batch_size": BATCH, "steps": MANY}
    plans = [Plan.noised(noise_multiplier=SIGMA + k % epsilons, **common) for k in range(len(each))]
    x, y = images(network, device)
    head = network.drawn_head(stream(0, "head"))
    return PrivateTrainer(
        tail, tail.start(head, len(each)), plans, tail.features(x), y, learning_rate=RATE, momentum=MOMENTUM, tf32=True,
        draw_keys=range(seeds), groups=[k // epsilons for k in range(len(each))], noise_keys=range(len(each)),
    )  # fmt: skip


def opacus(
    network: Network, name: str, layers: int, device: torch.device, steps: int, cached: bool
) -> Callable[[], None]:
    """One fine-tune by Opacus on Poisson draws that lie on the device already; of rows, all rows move.

    Args:
        cached: whether Opacus is given what the frozen stages make of the images, once.
    """
    own, whole, rows = moved(network, name, layers, 0)
    own = own.to(device)
    tail = Tail(own, [*whole, *(f"{layer}.weight" for layer in rows)])
    module = tail.module if cached else own.stages
    x, y = images(network, device)
    x = tail.features(x) if cached else x
    for parameter, tensor in module.named_parameters():
        tensor.requires_grad_(parameter in tail.names)
    module.train()
    wrapped = GradSampleModule(module, strict=False)
    moving = [tensor for tensor in module.parameters() if tensor.requires_grad]
    optimiser = DPOptimizer(
        torch.optim.SGD(moving, RATE, momentum=MOMENTUM),
        noise_multiplier=SIGMA, max_grad_norm=CLIP, expected_batch_size=BATCH,
    )  # fmt: skip
    common = {"examples": EXAMPLES, "batch_size": BATCH, "steps": steps}
    draws = Plan.nonprivate("the peer's batches", **common).sampler([0]).draw(steps)
    batches = [slot[0][slot[0] >= 0].long().to(device) for slot in draws.rows]
    criterion = nn.CrossEntropyLoss()

    def run() -> None:
        for chosen in batches:
            optimiser.zero_grad()
            criterion(wrapped(x[chosen]), y[chosen]).backward()
            optimiser.step()

    return run


def compared(
    network: Network, name: str, layers: int, seeds: int, epsilons: int, steps: int, target: float | None
) -> tuple[list[Row], float]:
    """Network-steps a second of a population and of Opacus with and without cached features; seconds of our step."""
    device = next(iter(network.parameters().values())).device
    trainer, count = population(network, name, layers, seeds, epsilons, device), seeds * epsilons
    trainer.advance(5)
    peers = {
        "Opacus, whole network": opacus(network, name, layers, device, steps, cached=False),
        "Opacus, cached features": opacus(network, name, layers, device, steps, cached=True),
    }
    ours, *theirs = interleaved(device, lambda: trainer.advance(steps), *peers.values())
    where = f"last {layers} layers" if layers else "all layers"
    what = f"{name}, {where}: {epsilons} epsilons x {seeds} seeds, expected batch {BATCH}"
    rows = [
        Row(what, peer, "network-steps/s", count * steps / ours, steps / their, target if i == 0 else None, None)
        for i, (peer, their) in enumerate(zip(peers, theirs, strict=True))
    ]
    return rows, ours / steps


def main() -> None:
    device = resolve("auto")
    network, began = load_network("svhn-cnn", 10).to(device), time.perf_counter()
    fast = device.type == "cuda"
    seeds, epsilons, steps = (SEEDS, EPSILONS, 20) if fast else (1, 2, 2)
    for layers in (LATE, 0) if fast else (LATE,):
        rows, taken = [], {}
        for name in METHODS_TIMED:
            if layers == 0 and name == "head":
                continue
            target = 20.0 if layers and fast else None
            found, taken[name] = compared(network, name, layers, seeds, epsilons, steps, target)
            rows += found
        where = f"late layers ({layers})" if layers else "all layers"
        report(f"Private fine-tuning, {where}", rows)
        share = taken["random"] / taken["all"] - 1
        print(
            f"a step in which a fifth of the rows moves, against one in which all do: {share:+.1%} (target below +3%)"
        )
    print(f"({time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
