"""Turns on several cards of a machine at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from labkit import device as devices
from labkit.runs.turns import NoTurns, Turns, turns_of

if TYPE_CHECKING:
    import torch

    from labkit.runs.ahead import Ahead


class SeveralTurns:
    """A turn on each of several cards, all or none to work with.

    They are asked for one after the other. Whoever does so in the same order waits for nobody who waits for him.

    Args:
        turns: on each card, in the order in which everybody asks for them.
    """

    def __init__(self, turns: Sequence[Turns]) -> None:
        self._turns = turns

    @property
    def held(self) -> bool:
        """Whether it is one's turn on every card."""
        return all(one.held for one in self._turns)

    def come(self, seconds: float | None = None) -> Ahead | None:
        """See `Turns`; those ahead are those on the first card that is not one's own yet."""
        for place, one in enumerate(self._turns):
            if (ahead := one.come(seconds)) is not None:
                for held in self._turns[:place]:
                    held.expect(None)  # nobody knows, but this process lives
                return ahead
        return None

    def expect(self, seconds: float | None) -> None:
        """See `Turns`."""
        for one in self._turns:
            one.expect(seconds)

    def waited_for(self) -> bool:
        """See `Turns`; on any card."""
        return any(one.waited_for() for one in self._turns)

    def leave(self) -> None:
        """See `Turns`."""
        for one in self._turns:
            one.leave()


SomeTurns = Turns | SeveralTurns | NoTurns


def turns_on(cards: Iterable[torch.device]) -> SomeTurns:
    """The turns on these devices as the environment says; on a CPU none.

    Raises:
        BadInput: as `turns_of`.
    """
    made = [(devices.card(one), turns) for one in cards if isinstance(turns := turns_of(one), Turns)]
    found = [turns for _, turns in sorted(made, key=lambda pair: pair[0])]
    return found[0] if len(found) == 1 else SeveralTurns(found) if found else NoTurns()
