"""The right to write one replicate: one owner at a time, kept alive by a heartbeat."""

from __future__ import annotations

import contextlib
import threading
import weakref
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from labkit.errors import StoreError
from labkit.runs.owner import LeaseLost

if TYPE_CHECKING:
    from labkit.runs.naming import RunKey

HEARTBEAT_SECONDS = 5.0
# The leases that this process has taken and not left, by token. A row of the store that names this process and none of
# these could not be written when its lease was left, on a full disk or under a lock: nobody works under it.
_HELD: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()


class Keeper(Protocol):
    """What a lease asks of the store."""

    def holds(self, key: RunKey, token: str) -> bool: ...
    def forget(self, key: RunKey, token: str) -> None: ...
    def heartbeat(self, key: RunKey, token: str) -> bool: ...
    def finish(self, key: RunKey, record: dict[str, Any] | None = None) -> None: ...
    def fail(self, key: RunKey, error: str, record: dict[str, Any] | None = None) -> None: ...
    def stop(self, key: RunKey, record: dict[str, Any] | None = None) -> None: ...
    def close_thread(self) -> None: ...


@dataclass
class Lease:
    """The right to write one replicate, kept alive while a `with` block of it, or of `Leases`, is not left.

    In this process it ends with that block even where the store cannot be told so; before it, with this object.

    Args:
        record: what the store held of the replicate's record when it was claimed, this claim's values included.
        notes: added to the record when the lease is given back.
    """

    store: Keeper
    key: RunKey
    token: str
    record: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    _alone: Leases | None = None

    def __post_init__(self) -> None:
        _HELD[self.token] = self

    def __enter__(self) -> Self:
        self._alone = Leases(self).__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._alone.__exit__(*raised)

    def beat(self) -> bool:
        """Say that the owner lives; False when the lease has gone."""
        try:
            return self.store.heartbeat(self.key, self.token)
        except StoreError:  # a store locked for long: the next beat may come through; the owner's own writes will tell
            return True

    def leave(self, error: BaseException | None) -> None:
        """Mark a replicate that was not finished stopped, or failed where an Exception was raised."""
        if not self.store.holds(self.key, self.token):
            return
        with contextlib.suppress(LeaseLost):  # then it is the new owner's to mark
            if isinstance(error, Exception):
                self.store.fail(self.key, f"{type(error).__name__}: {error}".rstrip(": "), self.notes)
            else:  # left early, by a closed generator or a Ctrl-C
                self.store.stop(self.key, self.notes)

    def forget(self) -> None:
        """Hold it no longer, whatever the store says of it."""
        _HELD.pop(self.token, None)
        self.store.forget(self.key, self.token)


def held_here(token: str) -> bool:
    """Whether this process still works under a lease."""
    return token in _HELD


class Leases:
    """A block that keeps leases of one store alive, by one thread, and gives back at its end those not finished."""

    def __init__(self, *leases: Lease) -> None:
        self.leases = leases
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._beat, name=f"lease {self.leases[0].key}", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ended.set()
            self._thread.join()
            self._leave(error)
        finally:  # also when a second Ctrl-C comes meanwhile
            for lease in self.leases:
                lease.forget()

    def _leave(self, error: BaseException | None) -> None:
        for lease in self.leases:
            try:
                lease.leave(error)
            except StoreError:  # the store is full or locked: the next lease would wait as long again
                if isinstance(error, Exception):
                    return  # that one says what went wrong first
                raise

    def _beat(self) -> None:
        living = list(self.leases)
        while living and not self._ended.wait(HEARTBEAT_SECONDS):
            living = [lease for lease in living if lease.beat()]
        self.leases[0].store.close_thread()
