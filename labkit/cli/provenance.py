"""What leaves the store says where it comes from and whether its privacy is guaranteed, whatever it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from labkit.errors import BadInput
from labkit.runs import RunKey, Store
from labkit.runs.reader import key_of

SEEDED_NOISE = "not private: its noise comes from a seed, for teaching; whoever knows the seed can subtract it"


def reservation(values: Mapping[str, Any], noiseless: str) -> str:
    """Why what a result released has no guarantee, in words; empty where it has one.

    Args:
        values: of the result, its noise source among them.
        noiseless: the words for training without noise.
    """
    from labkit.privacy.noise import OS

    noise, epsilon = values.get("noise_multiplier", 0), values.get("epsilon_spent")
    numeric = isinstance(epsilon, (int, float)) and not isinstance(epsilon, bool) and math.isfinite(epsilon)
    if not numeric or not noise > 0:
        return noiseless
    return "" if values.get("noise_source") == OS else SEEDED_NOISE


def origin(key: RunKey) -> dict[str, Any]:
    """Which replicate it is of, and of which labkit."""
    import labkit

    return {
        "experiment": key.experiment,
        "run": key.name,
        "seed": key.seed,
        "device": key.device_kind,
        "labkit": labkit.__version__,
    }


def finished(store: Store, name: str, holds: Callable[[RunKey], bool], what: str) -> dict[str, RunKey]:
    """A run's finished replicates that hold something, by SEED-DEVICE.

    Raises:
        BadInput: there are none; says that a run with `what` is needed.
    """
    rows = [row for row in store.replicates(name=name) if row["status"] == "finished"]
    found = {f"{key.seed}-{key.device_kind}": key for key in map(key_of, rows) if holds(key)}
    if not found:
        raise BadInput("run", name, f"a run with a finished replicate that holds {what}")
    return found
