"""Tickets of a queue: files of one folder, each locked by its living owner. Nothing here waits.

The folder may belong to everybody on the machine. What lies in it is not trusted: links are not followed, nothing but
plain files is read, and of these a few bytes. Locks are `flock`'s, which the system takes back when a process ends,
however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from labkit.errors import BadInput

FOLDER = "LABKIT_TURNS"
NAME = re.compile("[0-9]{15}")
BYTES = 64
OPENING_SECONDS = 0.1  # for the maker of the folder to open it to all


class Ticket:
    """A file that this process holds, from `Folder.draw` to `drop`."""

    def __init__(self, folder: int, number: int) -> None:
        self.number = number
        self._name, self._folder = f"{number:015}", folder
        self._file = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=folder)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.fchmod(self._file, 0o644)  # whatever the umask: others must see whether it is held

    def say(self, text: str) -> None:
        """Write at most BYTES characters for others to read, in one step."""
        os.pwrite(self._file, text.encode("ascii").ljust(BYTES), 0)

    def drop(self) -> None:
        """Hold it no longer."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder)
        fcntl.flock(self._file, fcntl.LOCK_UN)  # before closing it: a forked child may have it open too
        os.close(self._file)


class Folder:
    """An open folder of tickets, made if missing, for every user to write.

    Args:
        path: above it all folders must be there.

    Raises:
        BadInput: it is no folder, or it cannot be made or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with refused(path):
            made = _made(path)
            self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            if made:
                os.fchmod(self._file, 0o1777)  # as /tmp: nobody deletes the ticket of another

    def close(self) -> None:
        """Close it; to be called once no ticket of it is held."""
        os.close(self._file)

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """A block in which no other process is; False where one is."""
        try:
            with refused(self.path, BlockingIOError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def draw(self) -> Ticket:
        """The next ticket; to be called in `locked`.

        Raises:
            FileNotFoundError: the folder was deleted meanwhile.
            BadInput: it cannot be written.
        """
        number = 1 + max((int(name) for name in self._names()), default=0)
        if not NAME.fullmatch(f"{number:015}"):
            raise _unusable(self.path, "its numbers are used up")
        with refused(self.path, FileNotFoundError):
            try:
                return Ticket(self._file, number)
            except PermissionError:  # its maker, another user, may be about to open it to all
                time.sleep(OPENING_SECONDS)
            return Ticket(self._file, number)

    def living(self) -> dict[int, str]:
        """Of every ticket that is held by anybody, by number in order, what was said; to be called in `locked`.

        Tickets of the dead are deleted, if they were this user's.
        """
        found = ((int(name), self._said(name)) for name in self._names())
        return {number: said for number, said in found if said is not None}

    def _names(self) -> list[str]:
        return sorted(name for name in os.listdir(self._file) if NAME.fullmatch(name))

    def _said(self, name: str) -> str | None:
        try:
            # Without waiting: of a pipe that somebody has put there, a writer would be waited for.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._file)
        except OSError:  # a link, no file of ours, or dropped just now
            return None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return None
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.pread(file, BYTES, 0).decode("ascii", "replace")
            with contextlib.suppress(OSError):  # another user's is left to that user: it counts for nothing
                os.unlink(name, dir_fd=self._file)
            return None
        finally:
            os.close(file)


@contextlib.contextmanager
def refused(path: Path, *but: type[OSError]) -> Iterator[None]:
    """A block whose refusals by the system are those of this folder, except some that it is ready for.

    Raises:
        BadInput: the system has refused something.
    """
    try:
        yield
    except but:
        raise
    except OSError as error:
        raise _unusable(path, error.strerror) from error


def _made(path: Path) -> bool:
    try:
        path.mkdir(0o755)
    except FileExistsError:
        return False
    return True


def _unusable(path: Path, why: str | None) -> BadInput:
    allowed = "a folder for turns on the GPU that every user of it can write, or LABKIT_TURNS_SEATS=0 for no turns"
    return BadInput(FOLDER, str(path), f"{allowed} ({why})")
