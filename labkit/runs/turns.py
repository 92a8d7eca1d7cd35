"""Turns on a card that many processes of a machine share: first come, first served, and a word on how long it takes.

LABKIT_TURNS        folder that holds the queues of this machine's cards; default: the system's folder for
                    temporary files. All who share a card must name the same one.
LABKIT_TURNS_SEATS  how many are on a card at once; default 1. 0 takes no turns: for a card of one's own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import device as devices
from labkit.errors import BadInput
from labkit.runs.ahead import Ahead, Said, ticket
from labkit.runs.tickets import FOLDER, Folder, Ticket, refused

if TYPE_CHECKING:
    import torch

SEATS = "LABKIT_TURNS_SEATS"
MOST = 1024
SAY_SECONDS = 2.0  # whoever is at work says so often how long it will take
POLL_SECONDS = 0.2


class Turns:
    """This process's turns on one card, one at a time; for one thread.

    It has its turn when all before it, those at work included, are fewer than the seats. A process that is killed has
    no ticket any more; one that does not ask while it waits, since it was paused, is passed over but keeps its place.

    Args:
        folder: of the card's queue.
        seats: how many may be at work at once.
        clock: seconds from any origin.
    """

    def __init__(self, folder: Path, seats: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._seats, self._clock = folder, seats, clock
        self._folder: Folder | None = None
        self._ticket: Ticket | None = None
        self._ahead = Ahead()
        self._token, self._count, self._said_at = "", 0, 0.0
        self._seen: dict[int, tuple[str, float]] = {}  # what each ticket says, and since when
        self.held = False  # whether it has its turn

    def come(self, seconds: float | None = None) -> Ahead | None:
        """Ask for a turn, again and again: None once one has it, those ahead till then. Returns at once.

        Args:
            seconds: for which it will be needed; None if unknown.

        Raises:
            BadInput: the folder cannot be used.
        """
        if self.held:
            return None
        try:
            return self._asked(seconds)
        except FileNotFoundError:  # a folder of temporary files was tidied up just now
            self.leave()
            return self._ahead

    def expect(self, seconds: float | None) -> None:
        """Say now and then how long this turn will take yet; None if that is unknown."""
        if self.held and self._clock() - self._said_at >= SAY_SECONDS:
            with contextlib.suppress(OSError):  # a full disk: those who wait do not learn it, and the work goes on
                self._say(seconds)

    def waited_for(self) -> bool:
        """Whether anybody waits for this turn to end."""
        if self._folder is None or not self.held:
            return False
        with self._folder.locked() as locked:
            # Where it is locked somebody looks, and only those do who wait or have just ended.
            return not locked or any(one.waiting and not one.skipped for one in self._others().values())

    def leave(self) -> None:
        """End the turn, or wait no longer."""
        own, folder = self._ticket, self._folder
        self._ticket = self._folder = None
        self.held = False
        if own:
            own.drop()
        if folder:
            folder.close()

    def _asked(self, seconds: float | None) -> Ahead | None:
        self._folder = self._folder or Folder(self._path)
        with self._folder.locked() as locked:
            if not locked:  # somebody looks: a matter of microseconds
                return self._ahead
            if self._ticket is None:
                self._ticket = self._folder.draw()
                self._token = secrets.token_hex(4)  # numbers come again; what two owners say must differ
            self._ahead = self._before(self._ticket.number)
            self.held = len(self._ahead.said) < self._seats
            with refused(self._path):
                self._say(seconds)
        return None if self.held else self._ahead

    def _before(self, number: int) -> Ahead:
        others = self._others()
        at_work = [one for one in others.values() if not one.waiting]
        waiting = [one for at, one in others.items() if one.waiting and at < number and not one.skipped]
        return Ahead((*at_work, *waiting), self._seats)

    def _others(self) -> dict[int, Said]:
        now, before = self._clock(), self._seen
        living = self._folder.living()
        living.pop(self._ticket.number, None)
        self._seen = {
            number: before[number] if number in before and before[number][0] == text else (text, now)
            for number, text in living.items()
        }
        return {number: Said.read(text, now - since) for number, (text, since) in self._seen.items()}

    def _say(self, seconds: float | None) -> None:
        self._said_at = self._clock()
        self._count += 1
        self._ticket.say(ticket(self.held, self._token, self._count, seconds))


class NoTurns:
    """For a device that nobody else is on: it is always one's turn."""

    held = False

    def come(self, seconds: float | None = None) -> None:
        """See `Turns`."""

    def expect(self, seconds: float | None) -> None:
        """See `Turns`."""

    def waited_for(self) -> bool:
        """See `Turns`."""
        return False

    def leave(self) -> None:
        """See `Turns`."""


def turns_of(device: torch.device) -> Turns | NoTurns:
    """The turns on a device as the environment says, none on a CPU.

    Raises:
        BadInput: LABKIT_TURNS_SEATS is no number of seats.
    """
    if device.type != "cuda":
        return NoTurns()
    said = os.environ.get(SEATS, "1")
    if not (said.isascii() and said.isdecimal() and len(said) <= len(str(MOST)) and int(said) <= MOST):
        raise BadInput(SEATS, said, f"a whole number from 0, for no turns, to {MOST}")
    if int(said) == 0:
        return NoTurns()
    folder = Path(os.environ.get(FOLDER) or tempfile.gettempdir()).expanduser().absolute()
    return Turns(folder / f"labkit-turns-{devices.card(device)}", int(said))


@contextlib.contextmanager
def in_turn(device: torch.device, say: Callable[[str], None]) -> Iterator[None]:
    """A block that has its turn on a device; it is waited for.

    Args:
        say: told how long that takes, whenever the number of those ahead changes.

    Raises:
        BadInput: as `turns_of` and `Turns.come`.
    """
    turns, count = turns_of(device), -1
    try:
        while (ahead := turns.come()) is not None:
            if len(ahead.said) != count:
                count = len(ahead.said)
                say(str(ahead))
            time.sleep(POLL_SECONDS)
        yield
    finally:
        if turns.held:
            devices.free_memory(device)
        turns.leave()
