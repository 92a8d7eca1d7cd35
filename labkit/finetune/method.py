"""What a fine-tuning method is: which numbers of a public network it moves, and whether it pays to choose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from labkit.finetune.network import FrozenNorm, Network
from labkit.finetune.rows import Rows

NORMS = (FrozenNorm, nn.LayerNorm)
KINDS = (nn.Linear, nn.Conv2d, *NORMS)  # what has per-example gradients; class tokens and positions stay frozen


@dataclass(frozen=True)
class Setting:
    """What a method is told. All of it is public.

    Args:
        network: the public network.
        first: number of the first stage of which anything may move.
        sparsity: share of the rows' weights that stays frozen.
        scope: "layer" or "global" (`labkit.finetune.rows`).
        rank: of low-rank adapters.
        generator: of random rows and adapters.
    """

    network: Network
    first: int
    sparsity: float
    scope: str
    rank: int
    generator: torch.Generator


@dataclass(frozen=True)
class Moves:
    """What moves.

    Args:
        network: the public network, with adapters where the method adds some.
        whole: parameters that move in full.
        rows: rows that move of other weights; None where a private choice is still to name them.
    """

    network: Network
    whole: tuple[str, ...]
    rows: Rows | None


@dataclass(frozen=True)
class Method:
    """One way to fine-tune.

    Args:
        name: as the `method` parameter spells it.
        words: what moves, in a few words.
        moves: from a setting to what moves.
        sized: whether a sparsity sets how much moves; the size of the others is what it is.
        reading: of the private scores that choose the rows (`labkit.finetune.scores`); empty where none do.
        searches: whether rows are chosen privately among random sets (`labkit.finetune.lookahead`).
    """

    name: str
    words: str
    moves: Callable[[Setting], Moves]
    sized: bool = False
    reading: str = ""
    searches: bool = False

    @property
    def chooses(self) -> bool:
        """Whether a part of epsilon goes into choosing rows."""
        return bool(self.reading)


def head_of(network: Network) -> tuple[str, ...]:
    """The new head's parameters: they move with every method."""
    return tuple(f"{network.head}.{kind}" for kind, _ in network.stages.get_submodule(network.head).named_parameters())


def parameters_of(network: Network, first: int, kinds: tuple[type[nn.Module], ...] = KINDS) -> tuple[str, ...]:
    """The parameters of all layers of some kinds from stage `first` on, the head's among them."""
    found = []
    for name, layer in network.stages.named_modules():
        if isinstance(layer, kinds) and network.stage_of(name) >= first:
            found += [f"{name}.{kind}" for kind, _ in layer.named_parameters(recurse=False)]
    return tuple(dict.fromkeys((*found, *head_of(network))))


def biases_of(network: Network, first: int) -> tuple[str, ...]:
    """Biases, shifts of norms among them, from stage `first` on."""
    return tuple(name for name in parameters_of(network, first) if name.endswith(".bias"))


def beside_rows(network: Network, first: int) -> tuple[str, ...]:
    """What moves with every choice of rows: the head, biases and norms, from the first layer whose rows may move on.

    A norm in front of that layer stays frozen: it alone would cost more than all the rows, since what comes before it
    could no longer be computed once for each image.
    """
    first = min((network.stage_of(name) for name in row_layers(network, first)), default=first)
    names = (*biases_of(network, first), *parameters_of(network, first, NORMS), *head_of(network))
    return tuple(dict.fromkeys(names))


def row_layers(network: Network, first: int) -> dict[str, tuple[int, int]]:
    """The layers whose rows may move: name -> (rows, numbers in a row)."""
    return {name: shape for name, shape in network.layers().items() if network.stage_of(name) >= first}
