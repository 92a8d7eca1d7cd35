from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data import load, npz
from labkit.data.checks import LARGEST, checked, refuse_larger
from labkit.errors import BadInput

N = 100
X = np.arange(N * 6, dtype=np.uint8).reshape(N, 2, 3)
Y = np.arange(N) % 3


def saved(folder, **arrays) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return str(path)


def test_by_hand(tmp_path):
    mine = load(saved(tmp_path, x=X, y=Y))
    assert mine.name == "mine"
    assert mine.images.shape == (N, 1, 2, 3)
    assert mine.images.dtype == np.uint8
    assert mine.classes == ("0", "1", "2")
    assert not mine.public
    np.testing.assert_allclose(mine.scaled()[0, 0, 0], (np.array([0, 1, 2]) / 255 - 0.5) / 0.25, rtol=1e-5)


def test_vectors_colours_names_and_constants(tmp_path):
    flat = load(saved(tmp_path, x=X.reshape(N, 6), y=Y))
    assert flat.images.shape == (N, 1, 1, 6)
    x = np.random.default_rng(0).normal(size=(N, 4, 5, 3))
    colour = load(saved(tmp_path, x=x, y=Y, classes=np.array(["a", "b", "c", "d"]), mean=2.0, std=4.0))
    assert colour.images.shape == (N, 3, 4, 5)
    assert colour.images.dtype == np.float32
    assert colour.classes == ("a", "b", "c", "d")
    np.testing.assert_allclose(colour.scaled()[3, 2, 1, 0], (x[3, 1, 0, 2] - 2) / 4, rtol=1e-5)


def test_floats_are_taken_as_they_are(tmp_path):
    x = np.full((N, 2), 7.5)
    np.testing.assert_array_equal(load(saved(tmp_path, x=x, y=Y)).scaled(), 7.5)


NAN = X.astype(float)
NAN[3, 1, 1] = np.nan
BAD = {
    "nan": ({"x": NAN, "y": Y}, "NaN"),
    "infinity": ({"x": np.where(np.isnan(NAN), np.inf, NAN), "y": Y}, "infinity"),
    "float64 beyond float32": ({"x": np.full((N, 2), 1e200), "y": Y}, "float32"),
    "one class": ({"x": X, "y": Y * 0}, "at least two classes"),
    "too small": ({"x": X[:99], "y": Y[:99]}, "at least 100 examples"),
    "too few labels": ({"x": X, "y": Y[:-1]}, "one label for each image"),
    "labels of two axes": ({"x": X, "y": Y[:, None]}, "one label for each image"),
    "negative label": ({"x": X, "y": Y - 1}, "labels 0 to k - 1"),
    "negative label beside names": ({"x": X, "y": Y - 1, "classes": ["a", "b"]}, "labels 0 to 1"),
    "a gap": ({"x": X, "y": Y * 2}, "labels 0 to k - 1"),
    "stray label": ({"x": X, "y": Y, "classes": ["a", "b"]}, "labels 0 to 1"),
    "float labels": ({"x": X, "y": Y * 1.0}, "whole numbers"),
    "channels first": ({"x": np.zeros((N, 3, 8, 8)), "y": Y}, "1 or 3 channels"),
    "five axes": ({"x": np.zeros((N, 1, 1, 1, 1)), "y": Y}, "1 or 3 channels"),
    "no pixel": ({"x": np.zeros((N, 0)), "y": Y}, "none of them 0"),
    "beyond a byte": ({"x": X.astype(int) + 1, "y": Y}, "0 to 255"),
    "complex": ({"x": X + 1j, "y": Y}, "complex"),
    "words": ({"x": X.astype(str), "y": Y}, "floats"),
    "no x": ({"y": Y}, "lacks x"),
    "no y": ({"x": X}, "lacks y"),
    "std 0": ({"x": X, "y": Y, "std": 0.0}, "std above 0"),
    "mean of nan": ({"x": X, "y": Y, "mean": np.nan}, "finite mean"),
    "mean of two": ({"x": X, "y": Y, "mean": [1.0, 2.0]}, "mean as one number"),
    "pickled": ({"x": np.array([object()] * N), "y": Y}, "cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused_in_one_line(tmp_path, case):
    arrays, expected = BAD[case]
    path = saved(tmp_path, **arrays)
    with pytest.raises(BadInput, match=re.escape(expected)) as caught:
        load(path)
    assert caught.value.parameter == "data"
    assert caught.value.value == path
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = saved(tmp_path, x=X, y=Y)
    whole = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="cannot be read"):
        load(path)


def test_damaged_content_is_refused(tmp_path):
    path = saved(tmp_path, x=X, y=Y)
    whole = bytearray((tmp_path / "mine.npz").read_bytes())
    whole[400] ^= 255
    (tmp_path / "mine.npz").write_bytes(bytes(whole))
    with pytest.raises(BadInput, match="cannot be read"):
        load(path)


def test_too_much_is_refused_before_it_is_read():
    refuse_larger("x.npz", LARGEST // 4)
    with pytest.raises(BadInput, match="at most 4 GiB"):
        refuse_larger("x.npz", LARGEST // 4 + 1)


def test_a_packed_file_is_measured_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "mine.npz"
    np.savez_compressed(path, x=np.zeros((N, 1000)), y=Y)
    monkeypatch.setattr("labkit.data.checks.LARGEST", 4 * N * 1000)
    assert npz.load(path).images.shape == (N, 1, 1, 1000)
    monkeypatch.setattr("labkit.data.checks.LARGEST", 4 * N * 999)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(BadInput, match="float32"):
        npz.load(path)


@settings(max_examples=50, deadline=None)
@given(channels=st.sampled_from([1, 3]), height=st.integers(1, 4), width=st.integers(1, 4), k=st.integers(2, 5))
def test_channels_move_to_the_front_and_nothing_else_changes(channels, height, width, k):
    x = np.random.default_rng(0).integers(0, 256, (N, height, width, channels))
    made = checked("x", "x", x, np.arange(N) % k, licence="", public=True)
    np.testing.assert_array_equal(made.images.transpose(0, 2, 3, 1), x)
    assert len(made.classes) == k
