"""Copies of what was downloaded: whole folders or none, and one line about a Hub that does not answer."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import BadInput


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when the block ends well and vanishes when it does not.

    Whoever looks for `target` finds it whole or not at all. Where another process was first, its folder stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    unfinished.mkdir()
    try:
        yield unfinished
        if not target.exists():
            unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def answering(parameter: str, name: str) -> Iterator[None]:
    """Whatever a client of the Hub raises when it is offline, or the name is unknown or private, as one line.

    Raises:
        BadInput: with the first line of what the client said.
    """
    try:
        yield
    except BadInput:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(parameter, name, f"something that the Hub gives out now; it answered: {said[0]}") from error
