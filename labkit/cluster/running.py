"""A piece while it is run elsewhere: its leases, how far it is, how it ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labkit.runs.lease import Lease, Leases
from labkit.runs.naming import RunKey
from labkit.runs.pace import Share
from labkit.runs.pieces import Piece

if TYPE_CHECKING:
    from labkit.spec import Spec


@dataclass(frozen=True)
class Failure:
    """A replicate that failed, and why."""

    key: RunKey
    point: Spec
    error: str


@dataclass
class Running:
    """A piece on a seat, its leases kept alive from now on.

    Args:
        share: of the pace.
        began: seconds of the pace.
        lives: how often its process may still die.
    """

    piece: Piece
    leases: list[Lease]
    share: Share
    began: float
    lives: int
    _kept: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __post_init__(self) -> None:
        self._kept.enter_context(Leases(*self.leases))

    @property
    def keys(self) -> list[RunKey]:
        """Of the replicates, in the piece's order."""
        return [key for key, _ in self.piece]

    @property
    def point(self) -> Spec | None:
        """The grid point, where there is one replicate."""
        return self.piece[0][1] if len(self.piece) == 1 else None

    def leave(self, error: str | None, finished: bool, elapsed: float) -> None:
        """Give the leases back: the replicates are finished, or failed with an error, or else stopped.

        Args:
            elapsed: seconds of the pace.
        """
        for lease in self.leases:
            spent = lease.record.get("wall_seconds", 0.0) + (elapsed - self.began) / len(self.leases)
            lease.notes["wall_seconds"] = round(spent, 3)
            if finished:
                lease.store.finish(lease.key, lease.notes)
            elif error is not None:
                lease.store.fail(lease.key, error, lease.notes)
        self._kept.close()
        self.share.leave(finished)
