from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data import Dataset, Part, load, split
from labkit.errors import BadInput


def numbered(n: int) -> Dataset:
    """Images whose one pixel is their own number."""
    images = np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)
    return Dataset("numbered", images, np.arange(n) % 2, ("even", "odd"), "none", True)


def test_by_hand_twenty_examples():
    parts = split(numbered(20), split_seed=3)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    seen = torch.cat([parts.train.flat, parts.selection.flat, parts.test.flat]).ravel().long()
    assert [len(part) for part in (parts.train, parts.selection, parts.test)] == [14, 3, 3]
    assert torch.equal(seen, order)


def test_fashion_mnist_is_cut_into_7000_1500_1500():
    parts = split(load("fashion_mnist"), split_seed=0)
    assert [len(part) for part in (parts.train, parts.selection, parts.test)] == [7000, 1500, 1500]
    assert parts.train.x.shape == (7000, 1, 28, 28)
    assert parts.train.x.dtype == torch.float32
    assert parts.train.y.dtype == torch.int64
    # The constants come from other images of the same kind, so the part is standardised nearly, not exactly.
    assert abs(parts.train.x.mean()) < 0.02
    assert 0.97 < parts.train.x.std() < 1.03
    assert parts.fingerprint == load("fashion_mnist").fingerprint()


def test_the_published_shuffle_has_not_moved():
    # Stored runs name split_seed alone: a torch that shuffled differently would mix two splits under one name.
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    assert order[:5].tolist() == [6044, 2890, 9399, 1917, 4919]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(100, 400), seed=st.integers(0, 2**31 - 1))
def test_every_example_lies_in_exactly_one_part(n, seed):
    parts = split(numbered(n), split_seed=seed)
    seen = torch.cat([parts.train.flat, parts.selection.flat, parts.test.flat]).ravel().long()
    assert seen.sort().values.tolist() == list(range(n))
    for part in (parts.train, parts.selection, parts.test):
        assert torch.equal(part.y, part.flat.ravel().long() % 2)
        assert abs(len(part) / n - (0.7 if part is parts.train else 0.15)) <= 1.0 / n + 1e-9


def test_the_shuffle_is_its_seeds_alone():
    torch.manual_seed(1)
    first = split(numbered(100), split_seed=5)
    torch.manual_seed(2)
    again = split(numbered(100), split_seed=5)
    other = split(numbered(100), split_seed=6)
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist_5k"])
def test_whole_numbers_come_back_as_pixels(name):
    dataset = load(name)
    parts = split(dataset, split_seed=1)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(1))
    seen = torch.cat([parts.pixels(part) for part in (parts.train, parts.selection, parts.test)])
    assert (parts.mean, parts.std) == (dataset.mean, dataset.std)
    assert (seen.dtype, seen.min(), seen.max()) == (torch.float32, 0, 1)
    torch.testing.assert_close(seen * 255, torch.from_numpy(dataset.images[order.numpy()]).float(), rtol=0, atol=1e-3)


def test_pixels_by_hand_and_the_part_stays_as_it_was():
    dataset = replace(numbered(100), images=np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1), mean=0.5, std=0.25)
    parts = split(dataset, split_seed=0)
    before = parts.test.x.clone()
    torch.testing.assert_close(parts.pixels(parts.test).flatten() * 255, before.flatten() * 63.75 + 127.5)
    assert torch.equal(parts.test.x, before)
    assert parts.pixels(Part(before[:0], parts.test.y[:0])).shape == (0, 1, 1, 1)


@pytest.mark.parametrize(("low", "high"), [(0, 1.001), (-0.001, 1), (0, 255)])
def test_floats_that_were_never_pixels_are_refused(low, high):
    images = np.full((100, 1, 1, 1), low, np.float32)
    images[50:] = high
    parts = split(replace(numbered(100), images=images), split_seed=0)
    with pytest.raises(BadInput, match=rf"data = 'numbered'.*floats from 0 to 1; there are {low} to {high}"):
        parts.pixels(parts.train)


def test_private_data_need_the_stores_key():
    private = replace(numbered(100), public=False)
    with pytest.raises(ValueError, match="key"):
        split(private, split_seed=0)
    parts = split(private, split_seed=0, key=b"key")
    assert parts.fingerprint == private.fingerprint(b"key")
    assert not parts.public


def test_flat_is_a_view():
    part = Part(torch.zeros(4, 3, 2, 2), torch.zeros(4, dtype=torch.int64))
    assert part.flat.shape == (4, 12)
    assert part.flat.data_ptr() == part.x.data_ptr()
    assert part.to("cpu").x.device.type == "cpu"
