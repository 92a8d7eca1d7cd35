"""Who is writing: a process, known on its own machine by the process table and elsewhere by a heartbeat."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.errors import StoreError

EXPIRY_SECONDS = 30.0
START_TOLERANCE = 1.0


class LeaseLost(StoreError):
    """The replicate was given back, or taken over by another process that took this one for dead."""


@dataclass(frozen=True)
class Owner:
    """A process: a digest of its machine, its id, and when it started, in seconds since the machine did."""

    host: str
    pid: int
    started: float

    @classmethod
    def here(cls) -> Owner:
        """This process."""
        return cls(_host(), os.getpid(), _started(psutil.Process()))

    def is_here(self) -> bool:
        """Whether it is this process."""
        return self.pid == os.getpid() and self.host == _host() and self._began(psutil.Process())

    def living(self, heartbeat: float, now: float) -> bool:
        """Whether this owner still works.

        On its own machine the process table knows at once (a reused process id has another start); elsewhere the
        heartbeat decides, which may be EXPIRY_SECONDS old.
        """
        if self.host != _host():
            return now - heartbeat <= EXPIRY_SECONDS
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and self._began(process)
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # another user's process, on some systems
            return now - heartbeat <= EXPIRY_SECONDS

    def _began(self, process: psutil.Process) -> bool:
        return abs(_started(process) - self.started) < START_TOLERANCE


class Watch:
    """How old a heartbeat is, also where the clock was moved back since: its time then lies in the future, and it ages
    from when this process first saw it.

    Args:
        clock: seconds since the epoch, which somebody may set.
        ticks: seconds from any origin, which nobody can.
    """

    def __init__(self, clock: Callable[[], float], ticks: Callable[[], float]) -> None:
        self._clock, self._ticks = clock, ticks
        self._seen: dict[str, tuple[float, float]] = {}

    def age(self, token: str, heartbeat: float) -> float:
        """Seconds since the newest heartbeat of the lease with this token."""
        age = self._clock() - heartbeat
        if age >= 0:
            self._seen.pop(token, None)
            return age
        if self._seen.get(token, (None,))[0] != heartbeat:
            self._seen[token] = heartbeat, self._ticks()
        return self._ticks() - self._seen[token][1]


@functools.cache
def _host() -> str:
    # Containers may share a host name but not the process table, and a reboot begins a new one.
    parts = [platform.node()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not Linux
        parts.append(str(round(psutil.boot_time())))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _started(process: psutil.Process) -> float:
    # Since the boot, not since the epoch: a clock that is set moves both terms alike. The boot is asked for first, and
    # the process anew, since some versions of psutil reckon with the boot as it was last asked for.
    booted = psutil.boot_time()
    return psutil.Process(process.pid).create_time() - booted
