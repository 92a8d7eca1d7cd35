"""The right to write one replicate: one owner at a time, kept alive by a heartbeat."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from labkit.errors import StoreError
from labkit.runs.owner import LeaseLost

if TYPE_CHECKING:
    from labkit.runs.naming import RunKey

HEARTBEAT_SECONDS = 5.0


class Keeper(Protocol):
    """What a lease asks of the store."""

    def holds(self, key: RunKey, token: str) -> bool: ...
    def heartbeat(self, key: RunKey, token: str) -> bool: ...
    def fail(self, key: RunKey, error: str, record: dict[str, Any] | None = None) -> None: ...
    def stop(self, key: RunKey, record: dict[str, Any] | None = None) -> None: ...
    def close_thread(self) -> None: ...


@dataclass
class Lease:
    """The right to write one replicate, kept alive by a thread until the `with` block is left.

    Left without `Store.finish`, the replicate is marked stopped, or failed if the block raised an Exception.

    Args:
        record: what the store held of the replicate's record when it was claimed, this claim's values included.
        notes: added to the record when the block is left.
    """

    store: Keeper
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
