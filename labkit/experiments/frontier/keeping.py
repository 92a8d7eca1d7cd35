"""The trained weights of notebook 02, as others load them.

They lie in the chunk that ends the training, so that a run which was stopped behind it has them still.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from labkit.experiments.frontier.spec import SIMULATED
from labkit.experiments.frontier.training import Told
from labkit.experiments.kept import kept
from labkit.population import Params

WEIGHT = "weight "  # of a chunk's tensors: what else they are has a row for each result


def packed(networks: Sequence[Params]) -> dict[str, Tensor]:
    """The parameters of networks of any shapes, by their places."""
    return {f"{WEIGHT}{place} {name}": tensor for place, own in enumerate(networks) for name, tensor in own.items()}


def weights(wanted: Sequence[tuple[int, str, str]], chunk: Mapping[str, Tensor]) -> Iterator[Told]:
    """What a chunk holds of the networks that are reported, as `torch.nn.Sequential` names it: a ReLU stands between
    two layers. The simulation, which costs more than its epsilon, is nothing to share.

    Args:
        wanted: the place of the job, the arm and the suffix of each result.
    """
    found: dict[int, Params] = {}
    for name, tensor in chunk.items():
        if name.startswith(WEIGHT):
            place, parameter = name.removeprefix(WEIGHT).split(" ")
            layer, _, kind = parameter.partition(".")
            found.setdefault(int(place), {})[f"{2 * int(layer)}.{kind}"] = tensor
    for number, own in found.items():
        place, arm, suffix = wanted[number]
        if suffix == "" and arm != SIMULATED:
            yield place, kept(arm, own)
