"""Synthetic queries of one release as JSON lines: where they come from first, then a query a line."""

from __future__ import annotations

import json
from typing import Any

from labkit.cli import provenance as origins
from labkit.errors import BadInput, StoreError
from labkit.runs import RunKey, Store
from labkit.runs.reader import key_of

ARTIFACT = "synthetic"  # tensors text (uint8, UTF-8, a query a line) and document (int64, rows of the index)
ARM = "synthetic"
RELEASED = ("delta", "unit", "model_sha256", "accountant", "noise_source", "documents_fingerprint")
PLANNED = ("noise_multiplier", "sample_rate", "steps", "clip_norm", "epsilon_spent", "delta", "accountant")
COVERS = "this release alone: other releases from the same queries add to it (labkit show, the ledger)"
LICENCES = "the documents' and the model's licences hold for what was made of them"
NO_NOISE = "not private: the model was trained without noise, and may repeat what people asked"


def as_jsonl(store: Store, name: str, replicate: str | None = None, *, not_private: bool = False) -> str:
    """The synthetic queries of one replicate, for others to use.

    Args:
        name: of the run.
        replicate: which of its replicates, as SEED-DEVICE ("0-cuda"); None where there is one.
        not_private: write also queries without a guarantee, with a watermark on every line.

    Raises:
        BadInput: no finished replicate, or several, hold synthetic queries; or theirs have no guarantee.
    """
    key = _replicate(store, name, replicate)
    (result,) = [
        row
        for row in store.results(name, key.experiment, key.device_kind)
        if row["seed"] == key.seed and row["arm"] == ARM
    ] or [{}]
    spec = next(row["spec"] for row in store.replicates(key.experiment, name) if key_of(row) == key)
    watermark = reservation(result)
    if watermark and not not_private:
        why = watermark.partition(";")[0]
        allowed = f"a run with noise from the operating system, or --not-private, which marks every line; this is {why}"
        raise BadInput("run", name, allowed)
    arrays = store.arrays(key, ARTIFACT)
    text = arrays["text"].tobytes().decode("utf-8")
    queries = text.split("\n") if len(arrays["document"]) else []
    if len(queries) != len(arrays["document"]):
        raise StoreError(f"run {key} holds {len(queries)} queries for {len(arrays['document'])} documents")
    mark = {"watermark": watermark} if watermark else {}
    header = {"provenance": provenance(key, spec, result, len(queries))} | mark
    lines = [
        {"document": int(row), "query": query} | mark for row, query in zip(arrays["document"], queries, strict=True)
    ]
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in (header, *lines))


def reservation(result: dict[str, Any]) -> str:
    """Why queries of this result have no guarantee (`provenance.reservation`).

    Args:
        result: the values of the arm whose model wrote them.
    """
    return origins.reservation(result, NO_NOISE)


def provenance(key: RunKey, spec: dict[str, Any], result: dict[str, Any], queries: int) -> dict[str, Any]:
    """Where queries come from and what is known of their privacy; nothing that reads private data itself.

    Args:
        spec: of the replicate's grid point.
        result: the values of the arm whose model wrote them; without noise epsilon and delta are None.
        queries: how many there are.
    """
    from labkit.privacy.record import RELATION

    protected = reservation(result) != NO_NOISE
    if protected and (missing := [field for field in RELEASED if field not in result]):
        raise StoreError(f"run {key} lacks {', '.join(missing)}, without which its queries cannot be shared")
    known = {field: result.get(field) for field in RELEASED}
    return {
        **origins.origin(key),
        "data": spec.get("data"),
        "model": result.get("model", spec.get("model")),
        "epsilon": result["epsilon_spent"] if protected else None,
        "relation": RELATION,
        "covers": COVERS if protected else None,
        "queries": queries,
        **known,
        "ledger": {field: result[field] for field in PLANNED if field in result} if protected else None,
        "licence": result.get("licence", LICENCES),
    }


def _replicate(store: Store, name: str, wanted: str | None) -> RunKey:
    what = "synthetic queries (notebook 03)"
    found = origins.finished(store, name, lambda key: ARTIFACT in store.artifacts(key), what)
    if wanted is None and len(found) == 1:
        return next(iter(found.values()))
    if wanted not in found:
        raise BadInput("replicate", wanted, f"one of {', '.join(found)}: each is a release of its own")
    return found[wanted]
