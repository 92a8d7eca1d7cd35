"""Vendored columns of small whole numbers: one line of JSON that describes them, then the numbers, all under xz."""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from labkit.errors import BadInput

FILES = files("labkit.data") / "files"


def pack(columns: Mapping[str, np.ndarray], values: Mapping[str, Sequence[str]]) -> bytes:
    """Pack columns of one length.

    Args:
        columns: whole numbers from 0; stored as uint8 or little-endian uint16.
        values: for a column of codes, what each code stands for.

    Raises:
        ValueError: a number below 0 or above 65,535.
    """
    described, parts = [], []
    for name, column in columns.items():
        if column.min() < 0 or column.max() > 65_535:
            raise ValueError(f"column {name} has numbers outside 0 to 65535")
        kind = "<u1" if column.max() < 256 else "<u2"
        described.append([name, kind])
        parts.append(column.astype(kind).tobytes())
    header = {
        "rows": len(column),
        "columns": described,
        "values": {name: list(listed) for name, listed in values.items()},
    }
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" + b"".join(parts)
    strong = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "pb": 1, "lc": 0, "lp": 1}
    return lzma.compress(raw, format=lzma.FORMAT_XZ, filters=[strong])


def unpack(packed: bytes) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """The columns as int64 and what their codes stand for."""
    raw = lzma.decompress(packed)
    start = raw.index(b"\n") + 1
    header, columns = json.loads(raw[:start]), {}
    for name, kind in header["columns"]:
        column = np.frombuffer(raw, kind, header["rows"], offset=start)
        columns[name] = column.astype(np.int64)
        start += column.nbytes
    return columns, header["values"]


def read_checked(folder: Path | Traversable, name: str, sha256: str, data: str) -> bytes:
    """A vendored file as it was published.

    Args:
        data: the name of the data set, for the error.

    Raises:
        BadInput: it is missing, truncated or altered.
    """
    file = folder / name
    packed = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(packed).hexdigest() != sha256:
        state = "truncated or altered" if packed else "missing"
        allowed = f"the file {name} as it was published (sha256 {sha256[:12]}...); this one is {state}"
        raise BadInput("data", data, f"{allowed}: install labkit again")
    return packed
