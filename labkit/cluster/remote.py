"""What another process does for a sweep: it runs one piece at a time and says what happens when it is asked.

It writes no store. Whoever asks stores an answer before asking again, and after a chunk nothing goes on until then: a
stretch of private steps is on record before it is run (`labkit.experiments.executions`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import labkit
from labkit.cluster.packed import Packed, pack, unpack_tensors
from labkit.errors import BadInput
from labkit.runs.events import Checkpoint, Chunk, Event, Progress
from labkit.runs.experiment import Job, Resources
from labkit.runs.inputs import load_inputs
from labkit.runs.pieces import events_of
from labkit.runs.worker import CHECKPOINT_SECONDS

if TYPE_CHECKING:
    from labkit.runs.experiment import Experiment

SAID_SECONDS = 0.2  # events are collected for so long


@dataclass(frozen=True)
class Opened:
    """How a process answers to `Remote.open`.

    Args:
        version: labkit's there.
        device_kind: "cpu" or "cuda".
        fingerprint: of the data that it has loaded.
        record: `labkit.runs.record.describe_run`.
        refused: parameter, value and what is allowed, if the Spec cannot be run there; the rest is empty then.
    """

    version: str
    device_kind: str = ""
    fingerprint: str = ""
    record: Mapping[str, Any] | None = None
    refused: tuple[str, Any, str] | None = None


@dataclass(frozen=True)
class Task:
    """A piece.

    Args:
        jobs: of each replicate the place of its grid point in `spec.points()` and its seed.
        chunks, checkpoints: what is known of it, as safetensors bytes by key.
    """

    jobs: Sequence[tuple[int, int]]
    chunks: Mapping[str, bytes]
    checkpoints: Mapping[str, bytes]


@dataclass(frozen=True)
class Said:
    """What has happened since the last answer.

    Args:
        events: each with the place of its replicate in the piece.
        ended: whether that was all.
        error: what the experiment raised; None if nothing.
        peak_bytes: of the process so far.
    """

    events: Sequence[tuple[int, Packed]]
    ended: bool
    error: str | None
    peak_bytes: int


class Remote:
    """One process at work.

    Args:
        clock: seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: Iterator[tuple[int, Event]] = iter(())
        self._checkpoint_at = -math.inf

    def open(self, home: str, spec: Mapping[str, Any], key: bytes, threads: int) -> Opened:
        """Load an experiment and its data, and look whether the Spec can be run here.

        Args:
            home: module whose EXPERIMENT it is.
            spec: a Spec's fields.
            key: the store's, which fingerprints of private data are made with.
            threads: of PyTorch on a CPU.
        """
        import importlib

        import torch

        from labkit import device as devices
        from labkit.runs.record import describe_run

        torch.set_num_threads(threads)
        self._experiment: Experiment = importlib.import_module(home).EXPERIMENT
        try:
            asked = self._experiment.spec.of(**spec)
            self._device = devices.resolve(asked.device)
            self._data = load_inputs(asked, _Keyed(key))
            self._experiment.check(asked, self._data)
        except BadInput as error:
            value = error.value if isinstance(error.value, str | int | float) else repr(error.value)
            return Opened(labkit.__version__, refused=(error.parameter, value, error.allowed))
        self._points = asked.points()
        return Opened(labkit.__version__, self._device.type, self._data.fingerprint, describe_run(self._device))

    def begin(self, task: Task) -> Said:
        """Begin a piece, and the first answer of `more`."""
        jobs = [Job(self._points[place], seed) for place, seed in task.jobs]
        known = ({key: unpack_tensors(held) for key, held in kept.items()} for kept in (task.chunks, task.checkpoints))
        self._events = events_of(self._experiment, jobs, Resources(self._device, self._data, *known))
        self._checkpoint_at = self._clock()
        return self.more()

    def more(self) -> Said:
        """Go on until there is something to say.

        Of progress only the last is said, and a checkpoint is made where the last one is CHECKPOINT_SECONDS old.
        """
        began, kept, last = self._clock(), [], None
        try:
            for place, event in self._events:
                if isinstance(event, Progress):
                    last = place, pack(event)
                elif not isinstance(event, Checkpoint):
                    kept.append((place, pack(event)))
                elif self._clock() - self._checkpoint_at >= CHECKPOINT_SECONDS:
                    kept.append((place, pack(event)))
                    self._checkpoint_at = self._clock()
                if isinstance(event, Chunk) or self._clock() - began >= SAID_SECONDS:
                    return self._said(kept, last, ended=False)
        except Exception as error:  # the replicates are marked with it; others go on
            return self._said(kept, last, ended=True, error=f"{type(error).__name__}: {error}")
        return self._said(kept, last, ended=True)

    def rest(self) -> None:
        """Give the memory of a card back to others, between two pieces."""
        from labkit import device as devices

        self._events = iter(())
        devices.free_memory(self._device)

    def _said(
        self, kept: list[tuple[int, Packed]], last: tuple[int, Packed] | None, ended: bool, error: str | None = None
    ) -> Said:
        from labkit import device as devices

        return Said([*kept, *([last] if last else [])], ended, error, devices.memory_peak(self._device))


@dataclass(frozen=True)
class _Keyed:
    """What `load_inputs` needs of a store."""

    key: bytes
