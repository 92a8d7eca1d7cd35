"""How synthetic queries look beside real ones.

`bleu` and `copies` read private queries: what they return is an exact statistic of private data, for the person who
holds the data. It is never a filter: dropping the synthetic queries that equal a training query would tell whoever sees
the rest what was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.data.pairs import Pairs


@dataclass(frozen=True)
class Copies:
    """Shares of the synthetic queries that equal a training query word for word.

    Args:
        same: a training query of the same document, share in [0, 1].
        anywhere: a training query of any document, share in [0, 1].
    """

    same: float
    anywhere: float


def words(text: str) -> tuple[str, ...]:
    """The words of a text: small letters, split at white space."""
    return tuple(text.lower().split())


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Share of word n-grams that are different ones, over all texts together (1510.03055).

    Depends on how many texts there are: compare equal numbers only.

    Returns:
        in (0, 1]; nan where no text has n words.
    """
    grams = [tuple(text[start : start + n]) for text in map(words, texts) for start in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def bleu(
    synthetic: Sequence[str],
    synthetic_documents: Sequence[int] | np.ndarray,
    references: Sequence[str],
    reference_documents: Sequence[int] | np.ndarray,
) -> float:
    """Corpus BLEU of synthetic queries against the real queries of the same document, case aside.

    Up to four words, brevity penalty, exponential smoothing of orders without a match, tokenised as sacrebleu does
    by default (13a). Reads real queries, so it is an exact statistic of them and not private.

    Args:
        synthetic, synthetic_documents: queries and the row of each one's document; those whose document has no
            reference are left out.
        references, reference_documents: real queries, several a document or none.

    Returns:
        in [0, 100]; nan where no document has both.
    """
    from sacrebleu.metrics import BLEU

    of: dict[int, list[str]] = {}
    for text, document in zip(references, np.asarray(reference_documents).tolist(), strict=True):
        of.setdefault(document, []).append(text)
    told = zip(synthetic, np.asarray(synthetic_documents).tolist(), strict=True)
    kept = [(text, of[document]) for text, document in told if document in of]
    if not kept:
        return float("nan")
    most = max(len(real) for _, real in kept)
    # sacrebleu wants as many references for each: None stands where a document has fewer.
    columns = [[real[place] if place < len(real) else None for _, real in kept] for place in range(most)]
    return BLEU(lowercase=True, smooth_method="exp").corpus_score([text for text, _ in kept], columns).score


def copies(synthetic: Sequence[str], documents: Sequence[int] | np.ndarray, train: Pairs) -> Copies:
    """How many synthetic queries are training queries, word for word, case and spaces aside.

    Exact statistics of private queries, not private, and never a filter: see the head of this file.

    Args:
        synthetic, documents: queries and the row of each one's document.
        train: the pairs that the model was tuned on.

    Returns:
        shares; nan without synthetic queries.
    """
    if not len(synthetic):
        return Copies(float("nan"), float("nan"))
    asked = [words(query) for query in train.queries]
    pairs, anywhere = set(zip(asked, np.asarray(train.documents).tolist(), strict=True)), set(asked)
    written = [(words(query), row) for query, row in zip(synthetic, np.asarray(documents).tolist(), strict=True)]
    return Copies(
        sum(pair in pairs for pair in written) / len(written),
        sum(query in anywhere for query, _ in written) / len(written),
    )
