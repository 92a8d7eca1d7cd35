"""What a store holds that does not depend on when and where it was computed."""

from __future__ import annotations

from typing import Any

from fake_experiment import ARMS

from labkit.runs import RunKey, Store

FIELDS = ("experiment", "name", "seed", "device_kind")


def keys(store: Store) -> list[RunKey]:
    return [RunKey(*(row[field] for field in FIELDS)) for row in store.replicates()]


def statuses(store: Store) -> list[str]:
    return [row["status"] for row in store.replicates()]


def numbers(store: Store) -> dict[str, Any]:
    """Points, artifacts and results of every replicate that is finished."""
    assert store.integrity() == []
    found = {}
    for key in keys(store):
        if store.status(key) == "finished":
            rows = [row for row in store.results(key.name) if row["seed"] == key.seed]
            walked = [store.arrays(key, f"walked-{arm}")["walked"].tobytes() for arm in ARMS]
            found[str(key)] = store.points(key, "curve"), walked, rows
    return found
