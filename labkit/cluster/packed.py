"""Events on their way from another process: plain values and safetensors bytes, which nothing has to unpickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.runs.events import Artifact, Checkpoint, Chunk, Event, Point, Progress, Result

if TYPE_CHECKING:
    from torch import Tensor

KINDS: dict[str, type] = {kind.__name__: kind for kind in (Progress, Point, Chunk, Checkpoint, Artifact, Result)}
TENSORS = (Chunk, Checkpoint, Artifact)


@dataclass(frozen=True)
class Packed:
    """An event.

    Args:
        kind: the name of its class.
        values: its fields; of one that holds tensors, its key.
        tensors: safetensors bytes; None for an event without.
    """

    kind: str
    values: dict[str, Any]
    tensors: bytes | None


def pack(event: Event) -> Packed:
    """An event as it travels; a checkpoint is made for it."""
    if isinstance(event, TENSORS):
        tensors = event.make() if isinstance(event, Checkpoint) else event.tensors
        return Packed(type(event).__name__, {"key": event.key}, pack_tensors(tensors))
    return Packed(type(event).__name__, dict(vars(event)), None)


def unpack(packed: Packed) -> Event:
    """The event that was packed."""
    kind = KINDS[packed.kind]
    if packed.tensors is None:
        return kind(**packed.values)
    tensors = unpack_tensors(packed.tensors)
    held = {"make": lambda: tensors} if kind is Checkpoint else {"tensors": tensors}
    return kind(**packed.values, **held)


def pack_tensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Named tensors as bytes."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def unpack_tensors(held: bytes) -> dict[str, Tensor]:
    """Named tensors from bytes."""
    from safetensors.torch import load

    return load(held)
