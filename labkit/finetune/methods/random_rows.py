"""Rows drawn at random move: the free baseline, which every paid choice has to beat."""

from labkit.finetune.method import Method, Moves, Setting, beside_rows, row_layers
from labkit.finetune.rows import random_rows


def moves(setting: Setting) -> Moves:
    network, layers = setting.network, row_layers(setting.network, setting.first)
    rows = random_rows(layers, setting.sparsity, setting.scope, setting.generator)
    return Moves(network, beside_rows(network, setting.first), rows)


METHOD = Method("random", "random rows", moves, sized=True)
