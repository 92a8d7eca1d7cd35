"""Synthetic queries for every document, and how good they are."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch

from labkit.experiments.queries.lab import AT_ONCE, Lab, Told
from labkit.runs.events import Artifact, Chunk, Point
from labkit.text.quality import bleu, copies, distinct_n
from labkit.text.sampling import Sampled, decode, sample

SECONDS = 8.0  # of progress
SHOWN = 6  # documents whose queries are shown, the first ones
TEXT = 200  # letters of a document that a table shows


@dataclass(frozen=True)
class Written:
    """Synthetic queries.

    Args:
        queries: texts; none is empty, since an empty one has no words to train on and is left out.
        documents: int64 [n], each one's document.
        empty: how many were left out.
    """

    queries: list[str]
    documents: np.ndarray
    empty: int


def write(lab: Lab, place: int, arm: str) -> Generator[Told, None, Written]:
    """Sample the same number of queries for every document with the adapters as they are.

    Nothing here looks at a private query: it is post-processing of the model.
    """
    point, work = lab.point, lab.key(place, arm)
    rows = np.repeat(np.arange(len(lab.split.documents)), point.queries_per_document)
    key = f"{work}, written"
    held = lab.resources.chunks.get(key)
    if held is None:
        pieces, before = [], lab.done
        for piece in sample(
            lab.language, lab.prompts, rows, length=point.query_tokens, top_p=point.top_p,
            temperature=point.temperature, seed=lab.seed, batch=AT_ONCE[lab.device.type],
        ):  # fmt: skip
            pieces.append(piece.ids)
            lab.done = before + SECONDS * piece.done / len(rows)
            yield place, lab.progress(f"{work}: {piece.done:,} of {len(rows):,} queries written")
            yield from _shown(lab, place, arm, piece)
        held = {"ids": torch.cat(pieces).int()}
        yield place, Chunk(key, held)
    else:
        lab.done += SECONDS
    texts = decode(lab.language, held["ids"].long())
    kept = [i for i, text in enumerate(texts) if text]
    return Written([texts[i] for i in kept], rows[kept], len(texts) - len(kept))


def _shown(lab: Lab, place: int, arm: str, piece: Sampled) -> list[Told]:
    some = [at for at, row in enumerate(piece.rows) if row < SHOWN]
    if not some:
        return []
    texts = decode(lab.language, piece.ids[some])
    said = [{"arm": arm, "row": piece.rows[at], "query": text} for at, text in zip(some, texts, strict=True)]
    return [(place, Point("samples", one | {"document": lab.split.documents[one["row"]][:TEXT]})) for one in said]


def quality(lab: Lab, written: Written) -> dict[str, float]:
    """Figures of synthetic queries. BLEU is against held-out real queries; copies are exact statistics of the private
    training queries: they are marked, and never used to filter (privacy.md 20)."""
    test, found = lab.split.test, copies(written.queries, written.documents, lab.split.train)
    return {
        "queries": len(written.queries),
        "empty_queries": written.empty,
        "distinct_1": distinct_n(written.queries, 1),
        "distinct_2": distinct_n(written.queries, 2),
        "bleu": bleu(written.queries, written.documents, test.queries, test.documents),
        "not_private_copies": found.same,
        "not_private_copies_anywhere": found.anywhere,
    }


def artifact(written: Written) -> Artifact:
    """The queries as the store keeps them, for `labkit export --queries`."""
    text = np.frombuffer("\n".join(written.queries).encode(), np.uint8).copy()
    return Artifact("synthetic", {"text": torch.from_numpy(text), "document": torch.from_numpy(written.documents)})
