"""Where pieces are run: seats in other processes, each running one piece at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from labkit.errors import LabError


class Lost(LabError):
    """The process of a seat has died."""


class Seat(Protocol):
    """A process that holds a `labkit.cluster.remote.Remote`; it is asked one thing at a time."""

    def ask(self, method: str, *given: Any) -> None:
        """Call a method of the Remote there, without waiting for it."""
        ...

    def answer(self) -> Any:
        """What the last call returned; waits for it.

        Raises:
            Lost: the process has died.
            LabError: the call has raised something.
        """
        ...

    def close(self) -> None:
        """End the process, whatever it is doing."""
        ...


class Pool(Protocol):
    """Where seats come from.

    Args:
        size: seats that there is room for.
        threads: of PyTorch on a CPU, for each seat.
    """

    size: int
    threads: int

    def seat(self) -> Seat:
        """A new process."""
        ...

    def wait(self, seats: Sequence[Seat], seconds: float) -> list[Seat]:
        """Those that can answer or have died, after at most so many seconds."""
        ...

    def close(self) -> None:
        """End all processes of this pool."""
        ...
