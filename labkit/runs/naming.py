"""What a run is called: the hash of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.spec import Spec

NAME_DIGITS = 16


@dataclass(frozen=True)
class RunKey:
    """One replicate: the run's name, the seed, and the kind of device ("cpu", "cuda") it was computed on."""

    experiment: str
    name: str
    seed: int
    device_kind: str

    def __str__(self) -> str:
        return f"{self.name}/{self.seed}-{self.device_kind}"


def run_name(experiment: str, version: int, point: Spec, fingerprint: str, weights: str = "") -> str:
    """The first 16 hex digits of the sha256 of the run's canonical JSON.

    Args:
        experiment: the experiment's key.
        version: the experiment's version, raised when its numbers change.
        point: a Spec that holds one value in each grid field; only its fields that name a run count (`Spec.named`).
        fingerprint: of the data set.
        weights: sha256 of pretrained weights; empty without any.

    Raises:
        ValueError: the Spec still holds a grid, which is several runs.
    """
    named = point.named()
    for field, item in point.controls().items():
        if item.grid and field in named and len(named[field]) != 1:
            raise ValueError(f"{field} holds {len(named[field])} values; a run has one: take Spec.points()")
    parts = {"experiment": experiment, "version": version, "spec": named, "data": fingerprint, "weights": weights}
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:NAME_DIGITS]


def canonical(value: object) -> str:
    """The one JSON text of a value: keys sorted, no spaces.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
