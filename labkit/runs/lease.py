"""Who is writing a replicate: one owner at a time, known by a heartbeat, and by its process on the same machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil

from labkit.errors import StoreError

if TYPE_CHECKING:
    from labkit.runs.naming import RunKey
    from labkit.runs.store import Store

HEARTBEAT_SECONDS = 5.0
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

    def living(self, heartbeat: float, now: float) -> bool:
        """Whether this owner still works.

        On its own machine the process table knows at once (a reused process id has another start); elsewhere the
        heartbeat decides, which may be EXPIRY_SECONDS old.
        """
        if self.host != _host():
            return now - heartbeat <= EXPIRY_SECONDS
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(_started(process) - self.started) < START_TOLERANCE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # another user's process, on some systems
            return now - heartbeat <= EXPIRY_SECONDS


@dataclass
class Lease:
    """The right to write one replicate, kept alive by a thread until the `with` block is left.

    Left without `Store.finish`, the replicate is marked stopped, or failed if the block raised an Exception.

    Args:
        record: what the store held of the replicate's record when it was claimed, this claim's values included.
        notes: added to the record when the block is left.
    """

    store: Store
    key: RunKey
    token: str
    record: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=_beat, args=(self,), name=f"lease {self.key}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if not self.store.holds(self.key, self.token):
            return
        with contextlib.suppress(LeaseLost):  # then it is the new owner's to mark
            if isinstance(error, Exception):
                self.store.fail(self.key, f"{type(error).__name__}: {error}", self.notes)
            else:  # left early, by a closed generator or a Ctrl-C
                self.store.stop(self.key, self.notes)


def _beat(lease: Lease) -> None:
    while not lease._ended.wait(HEARTBEAT_SECONDS):
        try:
            if not lease.store.heartbeat(lease.key, lease.token):
                break
        except StoreError:  # a store locked for long: the next beat may come through; the owner's own writes will tell
            continue
    lease.store.close_thread()


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
    # Since the boot, not since the epoch: a corrected clock moves both terms alike.
    return process.create_time() - psutil.boot_time()
