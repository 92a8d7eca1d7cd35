from __future__ import annotations

import numpy as np

from labkit.data import digits


def test_sizes_and_classes():
    published = digits.load()
    assert published.images.shape == (1797, 1, 8, 8)
    assert published.images.dtype == np.float32
    assert published.labels.dtype == np.int64
    assert published.labels[:10].tolist() == list(range(10))  # as published


def test_the_constants_are_those_of_the_whole_set():
    scaled = digits.load().scaled()
    assert abs(scaled.mean()) < 1e-3
    assert abs(scaled.std() - 1) < 1e-3
