"""Low-rank adapters move beside frozen weights, and the head (LoRA, 2106.09685), on linear layers and convolutions."""

from labkit.finetune.lora import with_lora
from labkit.finetune.method import Method, Moves, Setting, head_of, row_layers


def moves(setting: Setting) -> Moves:
    layers = tuple(row_layers(setting.network, setting.first))
    network, adapters = with_lora(setting.network, setting.rank, layers, setting.generator)
    return Moves(network, (*adapters, *head_of(network)), {})


METHOD = Method("lora", "low-rank adapters and the head", moves)
