from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import numpy as np
import pytest

from labkit.data import Dataset

TINY = Dataset(
    name="tiny",
    images=np.array([0, 51, 255], dtype=np.uint8).reshape(3, 1, 1, 1),
    labels=np.array([0, 1, 1]),
    classes=("a", "b"),
    licence="none",
    public=True,
    mean=0.2,
    std=0.5,
)


def test_bytes_become_shares_then_lose_their_mean():
    assert TINY.scaled().dtype == np.float32
    np.testing.assert_allclose(TINY.scaled().ravel(), [-0.4, 0.0, 1.6], atol=1e-6)


def test_floats_are_scaled_by_the_constants_alone():
    floats = replace(TINY, images=np.full((3, 1, 1, 1), 0.7, np.float32))
    np.testing.assert_allclose(floats.scaled(), 1.0, atol=1e-6)


def test_fingerprint_by_hand():
    described = b'{"classes": ["a", "b"], "images": [3, 1, 1, 1, "uint8"], "mean": 0.2, "std": 0.5}'
    content = described + bytes([0, 51, 255]) + np.array([0, 1, 1], "<i8").tobytes()
    assert TINY.fingerprint() == hashlib.sha256(content).hexdigest()
    private = replace(TINY, public=False)
    assert private.fingerprint(b"key") == hmac.new(b"key", content, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"images": TINY.images.copy()[::-1]},
        {"images": TINY.images.reshape(3, 1, 1, 1).astype(np.float32)},
        {"labels": np.array([1, 0, 1])},
        {"classes": ("a", "c")},
        {"mean": 0.3},
        {"std": 0.6},
    ],
)
def test_whatever_a_network_would_see_changes_the_fingerprint(change):
    assert replace(TINY, **change).fingerprint() != TINY.fingerprint()


def test_a_name_or_licence_does_not_change_the_fingerprint():
    assert replace(TINY, name="moved", licence="MIT").fingerprint() == TINY.fingerprint()


def test_data_that_are_not_public_have_no_plain_hash():
    private = replace(TINY, public=False)
    with pytest.raises(ValueError, match="needs the store's key"):
        private.fingerprint()
    assert private.fingerprint(b"one") != private.fingerprint(b"two")
    assert private.fingerprint(b"one") != TINY.fingerprint()
    assert TINY.fingerprint(b"one") == TINY.fingerprint()  # public data are named alike in every store


def test_strides_do_not_matter():
    wide = np.zeros((3, 1, 1, 2), np.uint8)
    wide[..., 0] = TINY.images[..., 0]
    assert replace(TINY, images=wide[..., :1]).fingerprint() == TINY.fingerprint()
