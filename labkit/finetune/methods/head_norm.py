"""The head moves, and scale and shift of every normalisation, whose statistics stay the public data's."""

from labkit.finetune.method import NORMS, Method, Moves, Setting, parameters_of


def moves(setting: Setting) -> Moves:
    return Moves(setting.network, parameters_of(setting.network, setting.first, NORMS), {})


METHOD = Method("head_norm", "the head and the norms", moves)
