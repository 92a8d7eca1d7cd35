"""The new head alone moves, on frozen features (Tramer and Boneh 2021, 2011.11660; De et al. 2022, 2204.13650)."""

from labkit.finetune.method import Method, Moves, Setting, head_of


def moves(setting: Setting) -> Moves:
    return Moves(setting.network, head_of(setting.network), {})


METHOD = Method("head", "the head", moves)
