"""What an experiment says while it runs. Plain data: an experiment yields these, the worker stores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Progress:
    """How far the replicate is; never stored.

    Args:
        done, total: finished and expected work, in any one unit.
        what: what is being done, in a few words.
        rate: network-steps a second, where that is known.
    """

    done: float
    total: float
    what: str
    rate: float | None = None


@dataclass(frozen=True)
class Point:
    """One row of a series, drawn live: `values` are finite numbers and short texts."""

    series: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Chunk:
    """A finished piece of work under its own key: a run that resumes is handed it back and does not do it again."""

    key: str
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A place to resume from, in the middle of a chunk. Making one is left to the worker, which asks now and then.

    Args:
        key: what is being computed; a resumed experiment looks it up under this key.
        make: returns the tensors to keep.
    """

    key: str
    make: Callable[[], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Artifact:
    """Named arrays that belong to the replicate for good (scores of all candidates, a landscape)."""

    key: str
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Result:
    """One stored run: the final numbers of one arm at this grid point and seed. Written once, never overwritten."""

    arm: str
    values: Mapping[str, Any] = field(default_factory=dict)


Event = Progress | Point | Chunk | Checkpoint | Artifact | Result
