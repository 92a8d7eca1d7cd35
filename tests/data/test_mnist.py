from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import numpy as np
import pytest

from labkit.data import load, mnist
from labkit.errors import BadInput


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copy(str(mnist.FILES / mnist.FILE), tmp_path / mnist.FILE)
    return tmp_path


def test_five_hundred_of_each_digit(copy):
    published = load("mnist_5k")
    assert (published.images.shape, published.images.dtype) == ((5000, 1, 28, 28), np.uint8)
    assert np.bincount(published.labels).tolist() == [500] * 10
    assert published.labels.dtype == np.int64
    assert published.classes == tuple("0123456789")
    assert published.public
    assert mnist.load(copy).fingerprint() == published.fingerprint()


def test_digits_look_like_digits():
    # A zero is hollow in the middle and a one is not; were the images turned, a one would be wide.
    published = mnist.load()
    zero, one = (published.images[published.labels == digit, 0].astype(float).mean(0) for digit in (0, 1))
    assert zero[13:15, 13:15].mean() < 30 < 150 < one[13:15, 13:15].mean()
    ink = published.images[published.labels == 1, 0] > 127
    assert np.median(ink.any(2).sum(1)) > 2 * np.median(ink.any(1).sum(1))
    assert published.images[:, 0, 0].mean() < 0.1  # the first row is empty, so no pixel has slipped


def test_constants_are_of_images_like_these():
    scaled = mnist.load().scaled()
    assert abs(scaled.mean()) < 0.01
    assert abs(scaled.std() - 1) < 0.01


def test_an_altered_file_is_refused_though_it_unpacks(copy):
    raw = bytearray(lzma.decompress((copy / mnist.FILE).read_bytes()))
    raw[0] ^= 1
    (copy / mnist.FILE).write_bytes(lzma.compress(bytes(raw)))
    with pytest.raises(BadInput, match=r"mnist_5k.*mnist-5k\.xz.*altered"):
        mnist.load(copy)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"mnist-5k\.xz.*missing"):
        mnist.load(tmp_path)


def test_the_licence_is_beside_the_file():
    text = (mnist.FILES / "LICENSE-mnist-5k.txt").read_text()
    assert "Corinna Cortes" in text
    assert "Share Alike\n3.0" in text
    assert "New BSD License" in text
