"""A run without a browser: it trains to the end in the cell, and says now and then how far it is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit.runs.events import Progress
from widgets import words

if TYPE_CHECKING:
    from labkit.runs import Worker

SECONDS = 2.0


def is_live() -> bool:
    """Whether somebody looks at a page: $LABKIT_LIVE says 1 or 0, else a Jupyter server names the kernel's session."""
    said = os.environ.get("LABKIT_LIVE", "")
    return said == "1" if said else "JPY_SESSION_NAME" in os.environ


def train(worker: Worker, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
    """Run to the end. Ctrl-C, or the kernel's interrupt, is a stop that can be resumed.

    Args:
        say: shows one line in place of the one before, at most every SECONDS.

    Raises:
        Exception: whatever the experiment raises.
    """
    began = said = clock()
    line = ""
    updates = worker.run()
    try:
        for update in updates:
            if isinstance(update.event, Progress) or not line:
                line = words.progress(update)
            if clock() - said >= SECONDS:
                said = clock()
                left = "" if update.seconds_left is None else f" · about {words.duration(update.seconds_left)} left"
                say(line + left)
    finally:
        updates.close()
    ended = words.replicates(update.done, update.total)
    taken = f"{ended} in {words.duration(clock() - began)}" if ended else "all of it was stored already"
    say(f"finished: {taken}")
