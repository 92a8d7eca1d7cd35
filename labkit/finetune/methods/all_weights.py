"""Everything moves: the dense baseline, which noises every number."""

from labkit.finetune.method import Method, Moves, Setting, parameters_of


def moves(setting: Setting) -> Moves:
    return Moves(setting.network, parameters_of(setting.network, setting.first), {})


METHOD = Method("all", "all weights", moves)
