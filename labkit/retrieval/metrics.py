"""How well an encoder finds: exact search, the field's measures through ir-measures, intervals by document."""

from __future__ import annotations

import ir_measures
import numpy as np
import torch
from ir_measures import RR, R, nDCG
from torch import Tensor

from labkit.errors import BadInput
from labkit.retrieval.encoder import Encoder, Tokens, encode
from labkit.streams import stream_seed

DEPTH = 10
MEASURES = {"ndcg": nDCG @ DEPTH, "recall": R @ DEPTH, "mrr": RR @ DEPTH}
AT_ONCE = 1 << 22  # cluster numbers drawn at once


def search(
    encoder: Encoder, queries: Tokens, documents: Tokens, k: int = DEPTH, batch: int = 512
) -> tuple[Tensor, Tensor]:
    """The k documents of the highest cosine for each query, by comparing with every one.

    Returns:
        scores float32 [n, k], falling along a row, and row numbers int64 [n, k], both on the CPU.

    Raises:
        BadInput: fewer documents than k.
    """
    if not 1 <= k <= len(documents.ids):
        raise BadInput("k", k, f"1 to {len(documents.ids)}, the documents")
    index, asked = encode(encoder, documents, batch), encode(encoder, queries, batch)
    best = [(some @ index.T).topk(k) for some in asked.split(batch)]
    if not best:
        return torch.empty(0, k), torch.empty(0, k, dtype=torch.int64)
    return torch.cat([b.values for b in best]).cpu(), torch.cat([b.indices for b in best]).cpu()


def measures(found: Tensor, scores: Tensor, relevant: np.ndarray | Tensor) -> dict[str, np.ndarray]:
    """nDCG@10, recall@10 and the reciprocal rank within 10 of each query, as trec_eval computes them.

    With one right document at rank r <= 10 they are 1 / log2(1 + r), 1 and 1 / r; otherwise 0.

    Args:
        found, scores: of `search`, [n, k]; documents of equal score are ordered as trec_eval does, by their ids.
        relevant: int64 [n], the one right document of each query.

    Returns:
        `ndcg`, `recall` and `mrr`, float64 [n], in the queries' order.
    """
    right = {str(query): {str(int(row)): 1} for query, row in enumerate(relevant)}
    run = {
        str(query): dict(zip(map(str, rows), values, strict=True))
        for query, (rows, values) in enumerate(zip(found.tolist(), scores.tolist(), strict=True))
    }
    names = {measure: name for name, measure in MEASURES.items()}
    values = {name: np.zeros(len(right)) for name in MEASURES}
    for one in ir_measures.iter_calc(list(MEASURES.values()), right, run):
        values[names[one.measure]][int(one.query_id)] = one.value
    return values


def clustered_interval(
    values: np.ndarray, clusters: np.ndarray, level: float = 0.95, seed: int = 0, resamples: int = 2000
) -> tuple[float, float, float]:
    """The mean over queries and its percentile bootstrap interval, which resamples documents with all their queries.

    Queries of one document rise and fall together; an interval that takes them one at a time is too narrow.

    Args:
        values: float [n], one for each query.
        clusters: int [n], the query's document.
        level: share of such intervals that cover the true mean. Few documents (below about 30) cover less.

    Returns:
        mean, low and high, in the unit of the values.

    Raises:
        ValueError: fewer than two clusters, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level {level} is not between 0 and 1")
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    sums, sizes = np.bincount(cluster, weights=np.asarray(values, dtype=np.float64)), np.bincount(cluster)
    if len(sums) < 2:
        raise ValueError(f"an interval over documents needs at least two of them, not {len(sums)}")
    generator = np.random.default_rng(stream_seed(seed, "clustered interval"))
    means: list[np.ndarray] = []
    for some in np.array_split(np.arange(resamples), -(-resamples * len(sums) // AT_ONCE)):
        drawn = generator.integers(len(sums), size=(len(some), len(sums)), dtype=np.int32)
        means.append(sums[drawn].sum(1) / sizes[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(sums.sum() / sizes.sum()), float(low), float(high)
