"""The data of a panel, loaded once: Run begins without reading files."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labkit.runs.inputs import load_inputs

if TYPE_CHECKING:
    from labkit.data import Split
    from labkit.runs import Store
    from labkit.spec import Spec


class Loaded:
    """Loads a Spec's split data and keeps the last one.

    What is kept is trained on together with its fingerprint, so a file that changes later names other runs only for
    whoever loads it anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, int], Split] | None = None

    def __call__(self, spec: Spec, store: Store) -> Split:
        """The data, from any thread.

        Raises:
            BadInput: they cannot be used.
        """
        named = spec.data, spec.split_seed
        with self._lock:
            if self._kept is None or self._kept[0] != named:
                self._kept = named, load_inputs(spec, store)
            return self._kept[1]
