"""What a private training writes down to go on from; and what it must not write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.privacy.noise import OS
from labkit.privacy.plan import Plan

MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def saved(
    weights: Tensor, optimizer: torch.optim.Adam, plan: Plan, keys: tuple[int, int], counts: Sequence[int]
) -> dict[str, Tensor]:
    """What a resumed run needs, on the CPU. Draws and noise follow from their keys and the number of steps done.

    Keys are written where they derive from a seed anyway; never where they came from the operating system: their
    holder could subtract the noise.

    Args:
        weights: the flat buffer, the only one that the optimiser moves.
        keys: of the draw and of the noise (`Plan.draw_key`, `Plan.noise_key`).
        counts: steps done, and whatever else the training counts.
    """
    moments = optimizer.state.get(weights, {})  # none before the first step
    held = {"weights": weights} | {name: moments[name] for name in MOMENTS if moments}
    state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}
    return state | stamp(plan, keys, counts)


def stamp(plan: Plan, keys: tuple[int, int], counts: Sequence[int]) -> dict[str, Tensor]:
    """Which training a state is of, whatever it moved with: arguments as for `saved`."""
    made = {"plan": _digest(plan), "counts": torch.tensor(counts)}
    if plan.noise_source != OS:
        made["keys"] = _bytes(_packed(keys))
    return made


def restored(
    state: Mapping[str, Tensor], weights: Tensor, optimizer: torch.optim.Adam, plan: Plan, keys: tuple[int, int]
) -> list[int]:
    """Put weights and moments back as `saved` found them, and return its counts.

    Raises:
        BadInput: the state is one of another plan or of other keys.
    """
    counts = checked(state, plan, keys)
    weights.copy_(state["weights"])
    if "step" in state:
        held = {name: state[name].clone() for name in MOMENTS}
        optimizer.load_state_dict({"state": {0: held}, "param_groups": optimizer.state_dict()["param_groups"]})
    return counts


def checked(state: Mapping[str, Tensor], plan: Plan, keys: tuple[int, int]) -> list[int]:
    """The counts of a state stamped by `stamp`.

    Raises:
        BadInput: the state is one of another plan or of other keys.
    """
    if not torch.equal(state["plan"], _digest(plan)):
        raise BadInput("plan", "another one than the checkpoint's", "the plan that the run began with")
    if "keys" in state and bytes(state["keys"].numpy()) != _packed(keys):
        raise BadInput("noise_key", "another one than the checkpoint's", "the keys that the run began with")
    return state["counts"].tolist()


def _packed(keys: tuple[int, int]) -> bytes:
    draw, noise = keys
    return draw.to_bytes(16, "big") + noise.to_bytes(8, "big")


def _digest(plan: Plan) -> Tensor:
    return _bytes(bytes.fromhex(plan.digest()))


def _bytes(data: bytes) -> Tensor:
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy())
