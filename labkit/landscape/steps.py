"""What the long computations of this room say while they work."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")

Steps = Generator[tuple[int, int], None, Result]
"""Yields (done, total) after each piece of work; the generator's return value is the result (`labkit.generators`)."""
