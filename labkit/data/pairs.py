"""One way to split pairs of a query and its document: shuffled by its own seed into train, selection and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.data.corpus import Corpus
from labkit.errors import BadInput

TRAIN, SELECTION = 0.70, 0.10  # of all pairs, or of all documents that have pairs; the rest is the test part
MINIMUM = 10  # pairs, and documents with pairs: below it a part could be empty
BY = ("pair", "document")


@dataclass(frozen=True)
class Pairs:
    """Queries, each with its document.

    Args:
        queries: one text a pair.
        documents: int64 [n], the row of each query's document in the index.
        lay: bool [n], whether a query is a layperson's wording.
    """

    queries: tuple[str, ...]
    documents: np.ndarray
    lay: np.ndarray

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True)
class PairSplit:
    """A corpus in three parts that share no pair. All documents are in the index, whatever part their pairs are in.

    Args:
        name: the corpus' name.
        fingerprint: the fingerprint of the corpus before the split and before any sampling of documents.
        documents: the index: the public texts.
        titles: a short name of each document, or empty.
        train: what is learned from; the only part that a privacy guarantee covers.
        selection: what settings and checkpoints are chosen on.
        test: what is reported; never selects anything.
        by: "pair" or "document", what was shuffled. By pair, wordings of one document lie on both sides, so that a
            model which memorised a document's other wordings is rewarded; by document no part knows the others'.
        licence: of the corpus.
        public: whether the texts are published.
    """

    name: str
    fingerprint: str
    documents: tuple[str, ...]
    titles: tuple[str, ...]
    train: Pairs
    selection: Pairs
    test: Pairs
    by: str
    licence: str = ""
    public: bool = False


def split_pairs(corpus: Corpus, split_seed: int, by: str = "pair", documents: int = 0) -> PairSplit:
    """Shuffle and cut: 70 % train, 10 % selection, 20 % test (14,213, 2,030 and 4,061 pairs of HPO).

    Args:
        split_seed: the seed of the shuffle and of the sample; they depend on nothing else.
        by: "pair", or "document" to keep all pairs of a document in one part; then the shares are of documents.
        documents: how many documents to keep, with their pairs; 0 for all. The sample is drawn from the documents'
            number alone: queries have no say in what is public.

    Raises:
        BadInput: an unknown `by`, more documents than there are, or fewer than ten pairs or documents with pairs.
    """
    from labkit.streams import stream

    if by not in BY:
        raise BadInput("split_by", by, " or ".join(BY))
    count = len(corpus.documents)
    if not 0 <= documents <= count:
        raise BadInput("documents", documents, f"1 to {count}, the documents of {corpus.name}, or 0 for all of them")
    # Sampled documents keep the corpus' order, so that the index of all documents is the corpus itself.
    kept = np.sort(_shuffled(count, stream(split_seed, "documents"))[:documents]) if documents else np.arange(count)
    row_of = np.full(count, -1, np.int64)
    row_of[kept] = np.arange(len(kept))
    pairs = np.flatnonzero(row_of[corpus.relevant] >= 0)
    units = len(pairs) if by == "pair" else len(np.unique(corpus.relevant[pairs]))
    if units < MINIMUM:
        what = "pairs" if by == "pair" else "documents with pairs"
        name, value = ("documents", documents) if documents else ("data", corpus.name)
        raise BadInput(name, value, f"at least {MINIMUM} {what} to split; there are {units}")
    order = _shuffled(units, stream(split_seed, "split", by))
    cuts = [round(TRAIN * units), round(TRAIN * units) + round(SELECTION * units)]
    if by == "pair":
        parts = [pairs[chosen] for chosen in np.split(order, cuts)]
    else:
        unit_of = np.unique(corpus.relevant[pairs], return_inverse=True)[1]
        part_of = np.empty(units, np.int64)
        for number, chosen in enumerate(np.split(order, cuts)):
            part_of[chosen] = number
        mixed = _shuffled(len(pairs), stream(split_seed, "split", "order"))
        parts = [pairs[mixed[part_of[unit_of[mixed]] == number]] for number in range(3)]
    return PairSplit(
        corpus.name,
        corpus.fingerprint,
        tuple(corpus.documents[row] for row in kept),
        tuple(corpus.titles[row] for row in kept) if corpus.titles else (),
        *(_part(corpus, rows, row_of) for rows in parts),
        by=by,
        licence=corpus.licence,
        public=corpus.public,
    )


def capped(pairs: Pairs, at_most: int, seed: int) -> np.ndarray:
    """The protected units when a document is one: the pairs of each, at most so many.

    Args:
        at_most: k, public. A document with more keeps k of them at random.
        seed: of that choice.

    Returns:
        int64 [units, at_most]: rows of `pairs`, ascending, then -1 in empty places; one unit for each document that
        has a pair, by ascending document.

    Raises:
        BadInput: `at_most` below 1.
    """
    from labkit.streams import stream

    if at_most < 1:
        raise BadInput("at_most", at_most, "1 or more pairs of a document")
    order = _shuffled(len(pairs), stream(seed, "capped"))
    order = order[np.argsort(pairs.documents[order], kind="stable")]
    _, first, counts = np.unique(pairs.documents[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, counts)
    unit = np.repeat(np.arange(len(counts)), counts)
    rows = np.full((len(counts), at_most), len(pairs), np.int64)
    kept = place < at_most
    rows[unit[kept], place[kept]] = order[kept]
    rows.sort(axis=1)
    rows[rows == len(pairs)] = -1
    return rows


def _shuffled(n: int, generator: object) -> np.ndarray:
    import torch

    return torch.randperm(n, generator=generator).numpy()


def _part(corpus: Corpus, rows: np.ndarray, row_of: np.ndarray) -> Pairs:
    return Pairs(tuple(corpus.queries[row] for row in rows), row_of[corpus.relevant[rows]], corpus.lay[rows])
