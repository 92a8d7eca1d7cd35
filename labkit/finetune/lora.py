"""Low-rank adapters on a public network's layers (LoRA, Hu et al. 2021, arXiv 2106.09685), attached by peft."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from labkit.errors import BadInput
from labkit.finetune.network import Network

ADAPTER = "default"  # peft's name for the only one


def with_lora(
    network: Network, rank: int, names: Sequence[str], generator: torch.Generator
) -> tuple[Network, tuple[str, ...]]:
    """A network with adapters beside its weights: y = W x + B A x, where A x has `rank` numbers.

    A begins at random and B at zero, so that the network computes what it did, bit for bit, until B moves. peft scales
    the product by alpha / rank; alpha is the rank, so the scale is 1. Of a convolution, A has its kernel and stride,
    and B is 1 x 1. Convolutions with groups, depthwise ones among them, and dilated ones get none: peft's A mixes all
    channels and ignores a dilation. `said` tells which.

    Args:
        network: left as it is.
        rank: of every adapter.
        names: of weight layers, from `Network.weight_layers`.
        generator: on the CPU, of the start of A.

    Returns:
        the network, in which an adapted layer `name` stands as `name.base_layer`, and the adapters' parameters, which
        are what moves.

    Raises:
        BadInput: a rank below 1, names that are no weight layers, or none of them can be adapted.
    """
    from peft import LoraConfig, inject_adapter_in_model

    layers = network.weight_layers()
    if rank < 1:
        raise BadInput("lora_rank", rank, "at least 1")
    if unknown := [name for name in names if name not in layers]:
        raise BadInput("layers", unknown[0], f"weight layers of {network.name} besides its head: {', '.join(layers)}")
    adapted = [name for name in names if adaptable(layers[name])]
    if not adapted:
        allowed = "a linear layer or a convolution without groups and dilation among those that may move"
        raise BadInput("method", f"lora on {', '.join(names) or 'no layer'}", allowed)
    # A list of names would also take every layer whose name ends like one of them; a pattern has to match the whole.
    config = LoraConfig(
        r=rank, lora_alpha=rank, lora_dropout=0.0, bias="none", target_modules="|".join(map(re.escape, adapted))
    )
    with torch.random.fork_rng(devices=[]):  # peft draws a start of its own, which is replaced
        stages = inject_adapter_in_model(config, copy.deepcopy(network.stages))
    left = [name for name in names if name not in adapted]
    said = [network.said, f"adapters of rank {rank} stand beside {len(adapted)} layers"]
    said += [f"none beside {', '.join(left)}: convolutions with groups or dilation"] if left else []
    made = replace(network, stages=stages, said="; ".join(filter(None, said)))
    moving = tuple(
        f"{name}.{half}.{ADAPTER}.weight" for name in layers if name in adapted for half in ("lora_A", "lora_B")
    )
    held = dict(made.stages.named_parameters())
    with torch.no_grad():
        for name, value in drawn(made, moving, generator).items():
            held[name].copy_(value)
    return made, moving


def adaptable(layer: nn.Module) -> bool:
    """Whether peft's adapter computes what an adapter of this layer should."""
    if type(layer) is nn.Linear:
        return True
    return type(layer) is nn.Conv2d and layer.groups == 1 and layer.dilation == (1, 1)


def drawn(network: Network, moving: Sequence[str], generator: torch.Generator) -> dict[str, Tensor]:
    """A start of the adapters: A uniform within 1 / sqrt(inputs), as peft draws it, and B zero; float32 on the CPU.

    Args:
        network, moving: as `with_lora` returns them.
    """
    shapes = {name: tuple(network.stages.get_parameter(name).shape) for name in moving}
    made = {}
    for name, shape in shapes.items():
        bound = 0.0 if ".lora_B." in name else math.prod(shape[1:]) ** -0.5
        made[name] = (torch.rand(shape, generator=generator) * 2 - 1) * bound if bound else torch.zeros(shape)
    return made
