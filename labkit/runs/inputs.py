"""The data that a Spec names, loaded with the store's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.runs.store import Store
    from labkit.spec import Spec


def load_split(spec: Spec, store: Store) -> Split:
    """The Spec's data set, split by its `split_seed`.

    Raises:
        BadInput: the data cannot be used.
    """
    from labkit.data import load, split

    return split(load(spec.data), spec.split_seed, store.key)


def fingerprint(spec: Spec, store: Store) -> str:
    """The fingerprint of the Spec's data set, as the store names runs by it.

    Raises:
        BadInput: the data cannot be used.
    """
    from labkit.data import load

    return load(spec.data).fingerprint(store.key)
