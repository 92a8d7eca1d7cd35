"""The best of K random sets of rows moves, chosen privately by what a step in each would gain: random search."""

from labkit.finetune.method import Method, Moves, Setting, beside_rows
from labkit.finetune.scores import GRADIENT


def moves(setting: Setting) -> Moves:
    return Moves(setting.network, beside_rows(setting.network, setting.first), None)


METHOD = Method("search", "the best of random sets of rows", moves, sized=True, reading=GRADIENT, searches=True)
