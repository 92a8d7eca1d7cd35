"""How large a public network is: what a forward pass multiplies and holds, for telling time and memory beforehand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from labkit.finetune.network import Network
from labkit.population.taps import hooked


def products(network: Network, first: int) -> tuple[float, float]:
    """Multiplications of one image's forward pass: in the stages before `first`, and from there on."""
    found = [0.0, 0.0]

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        layer = network.stages.get_submodule(name)
        places = output.numel() / (layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)
        found[network.stage_of(name) >= first] += places * layer.weight.numel()
        return output

    _pass(network, [*network.weight_layers(), network.head], note)
    return found[0], found[1]


def activations(network: Network) -> int:
    """Numbers that one image leaves behind in a forward pass."""
    found: list[int] = []

    def note(name: str, given: Tensor, output: Tensor) -> Tensor:
        found.append(output.numel())
        return output

    _pass(network, [name for name, module in network.stages.named_modules() if not list(module.children())], note)
    return sum(found)


def _pass(network: Network, names: list[str], note: object) -> None:
    transform = network.transform
    with torch.no_grad(), hooked(network.stages, names, note):
        network.stages(torch.zeros(1, transform.channels, *transform.size))
