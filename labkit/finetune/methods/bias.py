"""Biases move, and the head (BitFit, 2106.10199; under privacy DP-BiTFiT, 2210.00036)."""

from labkit.finetune.method import Method, Moves, Setting, biases_of, head_of


def moves(setting: Setting) -> Moves:
    names = dict.fromkeys((*biases_of(setting.network, setting.first), *head_of(setting.network)))
    return Moves(setting.network, tuple(names), {})


METHOD = Method("bias", "biases and the head", moves)
