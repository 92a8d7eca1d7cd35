from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from labkit.data import fashion_mnist
from labkit.errors import BadInput

NAMES = tuple(fashion_mnist.SHA256)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in NAMES:
        shutil.copy(str(fashion_mnist.FILES / name), tmp_path / name)
    return tmp_path


def test_a_thousand_of_each_class(copy):
    published = fashion_mnist.load()
    assert published.images.shape == (10_000, 1, 28, 28)
    assert np.bincount(published.labels).tolist() == [1000] * 10
    assert published.classes[published.labels[0]] == "Ankle boot"  # the first test image, as published
    assert published.public
    assert fashion_mnist.load(copy).fingerprint() == published.fingerprint()


def test_against_a_second_reading_of_the_idx_header():
    raw = gzip.decompress((fashion_mnist.FILES / NAMES[0]).read_bytes())
    magic, n, height, width = np.frombuffer(raw[:16], ">i4")
    assert (magic, n, height, width) == (0x803, 10_000, 28, 28)
    pixel = raw[16 + 7 * 784 + 10 * 28 + 13]
    assert fashion_mnist.load().images[7, 0, 10, 13] == pixel


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_refused(copy, name):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-1])
    with pytest.raises(BadInput, match=f"fashion_mnist.*{name}.*truncated or altered"):
        fashion_mnist.load(copy)


@pytest.mark.parametrize("name", NAMES)
def test_an_altered_file_is_refused_though_it_unpacks(copy, name):
    raw = bytearray(gzip.decompress((copy / name).read_bytes()))
    raw[-1] ^= 1
    (copy / name).write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(BadInput, match="truncated or altered"):
        fashion_mnist.load(copy)


def test_a_missing_file_is_named(copy):
    (copy / NAMES[1]).unlink()
    with pytest.raises(BadInput, match=f"{NAMES[1]}.*missing") as caught:
        fashion_mnist.load(copy)
    assert "\n" not in str(caught.value)


def test_the_licence_is_beside_the_files():
    text = (fashion_mnist.FILES / "LICENSE-fashion-mnist.txt").read_text()
    assert "MIT License" in text
    assert "2017 Zalando SE" in text
