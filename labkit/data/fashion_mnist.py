"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747): its 10,000 test images, vendored."""

from __future__ import annotations

import gzip
import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from labkit.data.dataset import Dataset
from labkit.errors import BadInput

CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FILES = files("labkit.data") / "files"
SHA256 = {
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
MEAN, STD = 0.2860, 0.3530  # of the 60,000 published training images, none of which is used here


def load(folder: Path | Traversable = FILES) -> Dataset:
    """10,000 images [1, 28, 28] of ten kinds of clothes, 1,000 of each.

    Args:
        folder: where the two files are; the package's own by default.

    Raises:
        BadInput: a file is missing, truncated or altered.
    """
    # The idx format: a header of 4 bytes (type and number of axes) and 4 bytes per axis, then the bytes themselves.
    images = np.frombuffer(_read(folder, "t10k-images-idx3-ubyte.gz"), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    labels = np.frombuffer(_read(folder, "t10k-labels-idx1-ubyte.gz"), np.uint8, offset=8).astype(np.int64)
    return Dataset("Fashion-MNIST", images, labels, CLASSES, "MIT, (c) 2017 Zalando SE", True, MEAN, STD)


def _read(folder: Path | Traversable, name: str) -> bytes:
    file = folder / name
    packed = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(packed).hexdigest() != SHA256[name]:
        state = "truncated or altered" if packed else "missing"
        allowed = f"the file {name} as it was published (sha256 {SHA256[name][:12]}...); this one is {state}"
        raise BadInput("data", "fashion_mnist", f"{allowed}: install labkit again")
    return gzip.decompress(packed)
