"""Exercises of notebook 03: who is protected, one gradient for a unit, recall and nDCG by hand."""

from __future__ import annotations

import numpy as np
import torch

from labkit.lessons.exercise import Case, Exercise, Mistake
from labkit.lessons.frontier import CLOSE, summed
from labkit.retrieval.metrics import DEPTH, measures


def _asked(generator: np.random.Generator) -> list[Case]:
    return [
        (np.sort(generator.choice(9, size=24) ** 2), 3),
        (generator.permutation(np.repeat(np.arange(40, 46), [1, 1, 7, 2, 5, 1])), 4),
    ]


def _units(documents: np.ndarray, most: int) -> tuple[int, int]:
    _, counts = np.unique(documents, return_counts=True)
    return len(counts), int(np.minimum(counts, most).sum())


def _by_document(gradients: np.ndarray, documents: np.ndarray) -> np.ndarray:
    return np.stack([gradients[documents == one].sum(0) for one in np.unique(documents)])


def _pairs(generator: np.random.Generator) -> list[Case]:
    cases = []
    for documents, clip in (([3, 3, 3, 8, 1, 1], 1.0), ([0, 5, 5, 5, 5, 2, 2, 9], 0.7)):
        shared = {one: generator.normal(size=4) for one in set(documents)}  # queries of a document pull alike
        gradients = np.stack([clip * (0.5 * shared[one] + 0.2 * generator.normal(size=4)) for one in documents])
        cases.append((gradients, np.array(documents), clip))
    return cases


def _measured(ranks: np.ndarray) -> tuple[float, float]:
    """By the lab's own measures (trec_eval's): the right document, number 0, is put at its rank."""
    found = torch.arange(1, DEPTH + 1).repeat(len(ranks), 1)
    for query, rank in enumerate(ranks):
        if rank <= DEPTH:
            found[query, rank - 1] = 0
    scores = torch.linspace(1, 0, DEPTH).repeat(len(ranks), 1)
    values = measures(found, scores, np.zeros(len(ranks), dtype=np.int64))
    return float(values["recall"].mean()), float(values["ndcg"].mean())


def _ndcg(ranks: np.ndarray, log=np.log2, offset: int = 1, depth: int = DEPTH) -> float:
    return float(np.where(ranks <= depth, 1 / log(offset + ranks), 0).mean())


def _hit(ranks: np.ndarray) -> np.ndarray:
    return ranks <= DEPTH


def _ranks(generator: np.random.Generator) -> list[Case]:
    return [(np.array([1, 10, 11, 3, 500]),), (1 + generator.integers(0, 30, 40),)]


EXERCISES = (
    Exercise(
        name="03.units",
        task=(
            'documents[i] is the document that private pair i belongs to. With unit="document" and at most `most` '
            "pairs of each document, write a function units(documents, most) that returns how many units are "
            "protected, and how many pairs take part in the training."
        ),
        returns="two whole numbers: units, and pairs that take part",
        truth=_units,
        cases=_asked,
        mistakes=(
            Mistake(
                lambda documents, most: (len(documents), _units(documents, most)[1]),
                "the units are wrong: you count pairs. All that was asked about one document is one unit here",
            ),
            Mistake(
                lambda documents, most: (_units(documents, most)[0], len(documents)),
                "the pairs are wrong: documents with many have to leave some out",
            ),
            Mistake(
                lambda documents, most: (_units(documents, most)[0], most * _units(documents, most)[0]),
                "the pairs are wrong: `most` is a limit. A document with fewer pairs has no more to give",
            ),
            Mistake(
                lambda documents, most: (int(np.max(documents)) + 1, _units(documents, most)[1]),
                "the units are wrong: the numbers of documents have gaps, as not every document was asked for",
            ),
        ),
        hint="`numpy.unique(documents, return_counts=True)` says which documents there are, and how often.",
        lesson="The unit decides whom epsilon speaks of; the limit is public, and the same for all.",
        parts=("the number of units", "the number of pairs"),
    ),
    Exercise(
        name="03.unit_sum",
        task=(
            'Write a function unit_sum(gradients, documents, clip): the sum that a private step with unit="document" '
            "adds its noise to. gradients[i] is the gradient of pair i, which belongs to documents[i]."
        ),
        returns="one number for each parameter",
        truth=lambda gradients, documents, clip: summed(_by_document(gradients, documents), clip),
        cases=_pairs,
        mistakes=(
            Mistake(
                lambda gradients, documents, clip: summed(gradients, clip),
                "you clip each pair. A document with four pairs could then pull four times as hard as clip allows: add "
                "up a unit's gradients before you clip",
            ),
            Mistake(
                lambda gradients, documents, clip: summed(
                    np.stack([gradients[documents == one].mean(0) for one in np.unique(documents)]), clip
                ),
                "within a document you take the mean. That would protect as well, but a unit's loss is the sum over "
                "its pairs",
            ),
            Mistake(
                lambda gradients, documents, clip: summed(gradients.sum(0, keepdims=True), clip),
                "you clip the sum of all. One document could still turn it round altogether: clip each unit's own",
            ),
            Mistake(
                lambda gradients, documents, clip: gradients.sum(0),
                "nothing is shortened: one document may move this sum as far as it likes",
            ),
        ),
        hint="which rows belong to one unit? One vector for each unit, one length for each unit, then clip and add.",
        lesson="Adding before clipping is what makes all that was asked about a document one unit.",
        tolerance=CLOSE,
    ),
    Exercise(
        name="03.measures",
        task=(
            "ranks[i] is the place (1 is first) at which query i's one right document was found. Write a function "
            "measures(ranks) that returns recall@10 and nDCG@10, the means over all queries."
        ),
        returns="two numbers between 0 and 1: recall@10 and nDCG@10",
        truth=_measured,
        cases=_ranks,
        mistakes=(
            Mistake(
                lambda ranks: (_hit(ranks).mean(), _ndcg(ranks, np.log)),
                "nDCG is wrong: its discount is a logarithm to base 2, so that the first place counts 1",
            ),
            Mistake(
                lambda ranks: (_hit(ranks).mean(), _ndcg(ranks, offset=0)),
                "nDCG is wrong: the logarithm of the first place's discount would be 0. Places are counted from 1, and "
                "one more is added",
            ),
            Mistake(
                lambda ranks: (_hit(ranks).mean(), _ndcg(ranks, depth=10**9)),
                "nDCG is wrong: @10 means that nothing beyond the tenth place counts",
            ),
            Mistake(
                lambda ranks: (_hit(ranks).mean(), _ndcg(ranks[_hit(ranks)])),
                "nDCG is wrong: queries that found nothing count too, with 0",
            ),
            Mistake(
                lambda ranks: (_hit(ranks).mean(), np.where(_hit(ranks), 1 / ranks, 0).mean()),
                "the second is the reciprocal rank, MRR@10. nDCG discounts by a logarithm, which is milder",
            ),
            Mistake(
                lambda ranks: ((ranks < DEPTH).mean(), _measured(ranks)[1]),
                "recall is wrong: the tenth place is still among the first ten",
            ),
            Mistake(
                lambda ranks: (_hit(ranks).sum(), _ndcg(ranks) * len(ranks)),
                "those are sums over the queries; both measures are means",
            ),
        ),
        hint="what does a query count that found its document in first, in tenth, in eleventh place?",
        lesson="Recall asks whether it was found, nDCG also how far up.",
        parts=("recall@10", "nDCG@10"),
    ),
)
