"""The user's own arrays: one .npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from labkit.data.checks import checked, refuse_larger
from labkit.data.dataset import Dataset
from labkit.errors import BadInput

ARRAYS = (
    "an .npz file of arrays x (images) and y (labels), and if wanted classes (names), mean and std (public constants)"
)
HEADER = 128  # bytes before the numbers of an array, as numpy writes it


def load(
    path: Path, *, source: str = "", name: str = "", licence: str = "the user's own", public: bool = False
) -> Dataset:
    """Read x, y and, where present, classes, mean and std; `labkit.data.checks.checked` says what they must be.

    Args:
        path: the file. Nothing in it is unpickled.
        source: the `data` parameter as it was given, for error messages; the path by default.
        name: the data set's short name; the file's by default.
        licence, public: as in `Dataset`.

    Raises:
        BadInput: the file cannot be read, or its arrays cannot be used.
    """
    source = source or str(path)
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = max((entry.file_size for entry in packed.infolist()), default=0)
        # A number takes 8 bytes at most: what is refused unread is too large in any case, `checked` refuses the rest.
        refuse_larger(source, (unpacked - HEADER) // 8)
        with np.load(path, allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in ("x", "y", "classes", "mean", "std") if key in arrays}
    except BadInput:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput("data", source, f"{ARRAYS}; this one cannot be read: {error}") from error
    if "x" not in found or "y" not in found:
        raise BadInput("data", source, f"{ARRAYS}; this one lacks {' and '.join({'x', 'y'} - set(found))}")
    classes = tuple(str(label) for label in found["classes"].ravel()) if "classes" in found else None
    constants = {key: _number(source, key, found[key]) for key in ("mean", "std") if key in found}
    return checked(
        source, name or path.stem, found["x"], found["y"], classes, licence=licence, public=public, **constants
    )


def _number(source: str, key: str, array: np.ndarray) -> float:
    if array.size != 1 or not np.issubdtype(array.dtype, np.number):
        raise BadInput("data", source, f"{key} as one number; it has shape {list(array.shape)} and type {array.dtype}")
    return float(array.reshape(()))
