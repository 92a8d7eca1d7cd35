"""Data read once, and read again when something else is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_experiment import FakeSpec

from labkit.errors import BadInput
from labkit.runs import Store
from widgets.loaded import Loaded


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as made:
        yield made


def test_the_last_data_are_kept(store: Store) -> None:
    load = Loaded()
    first = load(FakeSpec.of(), store)
    assert load(FakeSpec.of(steps=3, seed=7), store) is first
    other = load(FakeSpec.of(split_seed=1), store)
    assert other is not first
    again = load(FakeSpec.of(), store)
    assert again is not first  # one is kept, not all
    assert again.fingerprint == first.fingerprint


def test_what_cannot_be_read_is_tried_again(store: Store, tmp_path: Path) -> None:
    load, file = Loaded(), tmp_path / "my.npz"
    spec = FakeSpec.of(data=str(file))
    with pytest.raises(BadInput):
        load(spec, store)
    import numpy as np

    from labkit.data import load as load_data

    digits = load_data("digits")
    np.savez(file, x=digits.images[:, 0], y=digits.labels)
    assert load(spec, store).fingerprint
