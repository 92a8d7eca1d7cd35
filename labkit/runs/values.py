"""What may become JSON in the store: short texts and finite numbers, nothing else."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any


def plain(values: Mapping[str, Any], reserved: tuple[str, ...] = ()) -> dict[str, Any]:
    """The values as JSON knows them; numbers of NumPy become Python's.

    Raises:
        ValueError: names the first field that is no text, boolean or finite number, or that has a reserved name.
    """
    for field in values:
        if field in reserved:
            raise ValueError(f"{field} is a column of every row; call the value something else")
    return {str(field): _scalar(str(field), value) for field, value in values.items()}


def nested(field: str, value: Any) -> Any:
    """Like `plain`, for a record: mappings, sequences and None are allowed too, at any depth.

    Raises:
        ValueError: names the field by its dotted path.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {str(name): nested(f"{field}.{name}" if field else str(name), item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [nested(f"{field}[{place}]", item) for place, item in enumerate(value)]
    return _scalar(field, value)


def _scalar(field: str, value: Any) -> Any:
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{field} = {value!r} cannot be stored: only finite numbers, booleans and texts can")


def bounded(loss: float, most: float = 1e9) -> float:
    """A loss as the store takes it: one that overflowed, or is no number, counts as `most`."""
    return most if math.isnan(loss) else min(loss, most)
