"""Answers as arrays: whether two are the same, and how they differ, in words that do not give the answer away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SMALL = 1e-12  # where the right answer is zero, what counts as zero


def numbers(value: Any) -> np.ndarray | None:
    """An answer as float64 numbers; None if it is none."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def same(given: Sequence[Any], other: Sequence[Any], truths: Sequence[Any], tolerance: float) -> bool:
    """Whether all answers are alike, up to a share of the largest number of the right one."""
    return all(_alike(a, b, truth, tolerance) for a, b, truth in zip(given, other, truths, strict=True))


def described(value: Any) -> str:
    """What kind of thing a value is."""
    if callable(value):
        return "a function"
    found = None if isinstance(value, str) else numbers(value)
    if found is None:
        return "a text" if isinstance(value, str) else f"a {type(value).__name__}"
    if found.ndim == 0:
        return "one number"
    return f"{len(found)} numbers" if found.ndim == 1 else " x ".join(map(str, found.shape)) + " numbers"


def differences(given: Sequence[Any], truths: Sequence[Any], parts: tuple[str, ...], tolerance: float) -> str:
    """Which numbers are wrong, in which direction, and in how many of the tries; answers are of the right shapes."""
    wrong = [
        (a, b) for a, b in zip(given, truths, strict=True) if not _alike(a, b, b, tolerance)
    ]  # fmt: skip
    a, b = (np.atleast_1d(one).ravel() for one in wrong[0])
    limit = _limit(b, tolerance)
    off = [at for at in range(len(a)) if not abs(a[at] - b[at]) <= limit]
    if parts:
        said = " and ".join(f"{parts[at]} is {_direction(a[at], b[at])}" for at in off)
    elif len(a) == 1:
        said = f"it is {_direction(a[0], b[0])}"
    else:
        said = f"{len(off)} of {len(a)} numbers are off; number {off[0] + 1} is {_direction(a[off[0]], b[off[0]])}"
    return said if len(given) == 1 else f"{said} (wrong in {len(wrong)} of {len(given)} tries)"


def _alike(a: Any, b: Any, truth: Any, tolerance: float) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return False
    return bool(np.allclose(a, b, rtol=0, atol=_limit(truth, tolerance), equal_nan=True))


def _limit(truth: np.ndarray, tolerance: float) -> float:
    return tolerance * max(float(np.abs(truth).max(initial=0)), SMALL)


def _direction(value: float, truth: float) -> str:
    if not np.isfinite(value):
        return "no finite number"
    if value * truth < 0:
        return "of the wrong sign"
    return "too large" if abs(value) > abs(truth) else "too small"
