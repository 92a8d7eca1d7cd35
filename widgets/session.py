"""A training in a thread of its own, which a hand can pause, resume and stop."""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.errors import LabError

Updates = Callable[[], Iterator[Any]]
Messages = queue.SimpleQueue


@dataclass(frozen=True)
class Waiting:
    """A message: the session has paused."""


@dataclass(frozen=True)
class Ended:
    """The last message: the session "finished", "stopped" or "failed" with an error, or the reader was "replaced"."""

    how: str
    error: Exception | None = None

    def reason(self) -> str:
        """The error in one line; empty where there was none."""
        if self.error is None:
            return ""
        line = str(self.error).partition("\n")[0]
        return line if isinstance(self.error, LabError) else f"{type(self.error).__name__}: {line}".rstrip(": ")


class Session(threading.Thread):
    """Iterates the updates of a worker. Pausing is not asking for the next one, stopping is closing the generator.

    Only this thread touches the generator; other threads say what they wish, and read messages from a queue of their
    own. The interpreter's list of threads is the list of sessions, so no second one is kept.

    Args:
        key: what is trained; two sessions with equal keys would do the same work.
        updates: makes the generator; called in this thread.
        place: where it was started (a notebook's cell); empty where that is unknown.
    """

    def __init__(self, key: object, updates: Updates, *, place: str = "") -> None:
        super().__init__(name="labkit-session", daemon=True)
        self.key, self.place = key, place
        self._updates = updates
        self._readers: dict[object, Messages] = {}
        self._ended: Ended | None = None
        self._changed = threading.Condition()
        self._wish = "run"
        self._waiting = False

    @property
    def state(self) -> str:
        """One of "running", "pausing" (until the next update), "paused", "stopping" and "ended"."""
        with self._changed:
            if not self.is_alive():
                return "ended"
            if self._wish == "pause":
                return "paused" if self._waiting else "pausing"
            return "stopping" if self._wish == "stop" else "running"

    def read(self, reader: object) -> Messages:
        """A queue of every update from now on, a `Waiting` for each pause, and at the end one `Ended`.

        Args:
            reader: who reads. The queue that an equal reader had before ends in `Ended("replaced")`.
        """
        messages: Messages = Messages()
        with self._changed:
            if reader in self._readers:
                self._readers[reader].put(Ended("replaced"))
            self._readers[reader] = messages
            if self._waiting:
                messages.put(Waiting())
            if self._ended:
                messages.put(self._ended)
        return messages

    def start(self) -> None:
        # At the end of the process a replicate in work is put away as stopped instead of being found dead later.
        atexit.register(self.close)
        super().start()

    def pause(self) -> None:
        """Ask for nothing more after the update in work; the lease on the replicate is kept."""
        self._want("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        self._want("run")

    def stop(self) -> None:
        """End at the next update. Returns at once."""
        self._want("stop")

    def close(self, timeout: float = 2.0) -> bool:
        """Stop and wait, at most `timeout` seconds; whether the thread has ended."""
        self.stop()
        self.join(timeout)
        return not self.is_alive()

    def run(self) -> None:
        try:
            ended = self._iterate()
        # The last frame of a thread: nobody above could catch it, and the panel shows it in one line.
        except Exception as error:
            ended = Ended("failed", error)
        atexit.unregister(self.close)
        with self._changed:
            self._ended = ended
            self._tell(ended)

    def _iterate(self) -> Ended:
        updates = self._updates()
        try:
            for update in updates:
                if not self._may_go_on(update):
                    return Ended("stopped")
            return Ended("finished")
        finally:
            updates.close()

    def _may_go_on(self, update: Any) -> bool:
        with self._changed:
            self._tell(update)
            if self._wish == "pause":
                self._waiting = True
                self._tell(Waiting())
                self._changed.wait_for(lambda: self._wish != "pause")
                self._waiting = False
            return self._wish != "stop"

    def _tell(self, message: Any) -> None:
        for messages in self._readers.values():
            messages.put(message)

    def _want(self, wish: str) -> None:
        with self._changed:
            if self._wish != "stop":  # a stop is not taken back
                self._wish = wish
            self._changed.notify_all()


def active() -> list[Session]:
    """The sessions of this process that have not ended."""
    return [thread for thread in threading.enumerate() if isinstance(thread, Session)]


def batches(messages: Messages, interval: float, sleep: Callable[[float], None] = time.sleep) -> Iterator[list[Any]]:
    """Everything that has come since the last batch, at most once in `interval` seconds; the last ends in `Ended`.

    The first message does not wait, and nothing is polled while none comes.
    """
    while True:
        batch = [messages.get()]
        while not messages.empty():  # this is the only reader
            batch.append(messages.get())
        yield batch
        if isinstance(batch[-1], Ended):
            return
        sleep(interval)
