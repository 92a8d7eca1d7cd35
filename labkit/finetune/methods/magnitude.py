"""The longest rows of the public weights move: a choice that looks at no private example."""

from labkit.finetune.method import Method, Moves, Setting, beside_rows, row_layers
from labkit.finetune.rows import magnitude, top_rows


def moves(setting: Setting) -> Moves:
    network, layers = setting.network, row_layers(setting.network, setting.first)
    weights = network.parameters()
    scores = magnitude({name: weights[f"{name}.weight"] for name in layers})
    rows = top_rows(scores, layers, setting.sparsity, setting.scope, power=0.5)
    return Moves(network, beside_rows(network, setting.first), rows)


METHOD = Method("magnitude", "the longest rows", moves, sized=True)
