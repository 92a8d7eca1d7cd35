"""The record that every loader of texts returns: public documents, and the queries that people asked for them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Corpus:
    """Documents and queries as they were read, before any split.

    Args:
        name: a short name for titles; no path.
        documents: the public texts, each on one line.
        queries: what is protected, one text a pair, each on one line.
        relevant: int64 [pairs], the row in `documents` of each query's document.
        lay: bool [pairs], whether a query is a layperson's wording; all False where nobody has said so.
        licence: what may be done with the texts, and whose they are.
        public: whether the texts are published; the fingerprint of any other texts is keyed.
        fingerprint: 64 hexadecimal digits that name all of these texts and pairs, wherever they were read from.
        titles: a short name of each document, or empty where documents have none.
    """

    name: str
    documents: tuple[str, ...]
    queries: tuple[str, ...]
    relevant: np.ndarray
    lay: np.ndarray
    licence: str
    public: bool
    fingerprint: str
    titles: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.queries)


def make_corpus(
    name: str,
    documents: Sequence[str],
    queries: Sequence[str],
    relevant: Sequence[int] | np.ndarray,
    *,
    lay: Sequence[bool] | np.ndarray | None = None,
    titles: Sequence[str] = (),
    licence: str,
    public: bool,
    key: bytes = b"",
) -> Corpus:
    """A Corpus with its fingerprint.

    Args:
        key: the store's key, for texts that are not public: whoever guesses a query could confirm with a plain hash
            that somebody asked it.

    Raises:
        ValueError: the texts are not public and no key was given, or the lengths do not fit.
    """
    if not public and not key:
        raise ValueError(f"the fingerprint of {name}, which is not public, needs the store's key")
    rows = np.asarray(relevant, np.int64)
    laypeople = np.zeros(len(rows), bool) if lay is None else np.asarray(lay, bool)
    if not (len(queries) == len(rows) == len(laypeople)) or len(titles) not in (0, len(documents)):
        raise ValueError("one document and one flag for each query, and no titles or one for each document")
    content = [list(documents), list(titles), list(queries)]
    digest = hashlib.sha256() if public else hmac.new(key, digestmod=hashlib.sha256)
    digest.update(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(rows).astype("<i8").data)
    digest.update(np.ascontiguousarray(laypeople).data)
    return Corpus(
        name,
        tuple(documents),
        tuple(queries),
        rows,
        laypeople,
        licence,
        public,
        digest.hexdigest(),
        tuple(titles),
    )


def one_line(text: str) -> str:
    """A text with every run of white space as one blank: queries are stored one on a line."""
    return " ".join(text.split())
