"""Search and measures by hand; the interval's coverage where queries of one document are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_world import encoder, world
from scipy import stats

from labkit.errors import BadInput
from labkit.retrieval import clustered_interval, measures, search


def test_the_three_measures_by_hand():
    """The right document first, third, tenth, eleventh (not returned)."""
    found = torch.arange(10).repeat(4, 1)
    scores = torch.linspace(1, 0.1, 10).repeat(4, 1)
    values = measures(found, scores, np.array([0, 2, 9, 10]))
    assert values["recall"].tolist() == [1, 1, 1, 0]
    assert values["mrr"] == pytest.approx([1, 1 / 3, 1 / 10, 0])
    assert values["ndcg"] == pytest.approx([1, 1 / 2, 1 / math.log2(11), 0])


def test_measures_keep_the_queries_order():
    relevant = np.arange(23) % 10
    values = measures(torch.arange(10).repeat(23, 1), torch.linspace(1, 0.1, 10).repeat(23, 1), relevant)
    assert values["mrr"] == pytest.approx(1 / (1 + relevant))


def test_search_is_a_sort_of_all_cosines():
    queries, documents, _ = world()
    made = encoder()
    scores, rows = search(made, queries, documents, k=6, batch=5)
    cosines = (made(queries.ids, queries.mask) @ made(documents.ids, documents.mask).T).detach()
    assert torch.allclose(scores, cosines.sort(1, descending=True).values[:, :6], atol=1e-6)
    assert torch.allclose(cosines.gather(1, rows), scores, atol=1e-6)
    with pytest.raises(BadInput, match="k = 21"):
        search(made, queries, documents, k=21)


def test_an_interval_by_hand():
    """Two documents with the values 0 and 1: a resample has the mean 0, 1/2 or 1, with chances 1/4, 1/2 and 1/4."""
    assert clustered_interval([0, 0, 1, 1], [7, 7, 3, 3]) == (0.5, 0.0, 1.0)
    mean, low, high = clustered_interval([0, 0, 1, 1], [7, 7, 3, 3], level=0.4)
    assert (mean, low, high) == (0.5, 0.5, 0.5)


def test_documents_bring_all_their_queries():
    """One document with three queries beside one with a single query: a resample's mean weighs queries."""
    values, clusters = [1.0, 1.0, 1.0, 0.0], [0, 0, 0, 1]
    assert clustered_interval(values, clusters)[0] == 0.75
    assert set(clustered_interval(values, clusters, level=1e-9)[1:]) == {0.75}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=3, max_size=30), st.integers(0, 99))
def test_mean_lies_within_and_order_does_not_matter(pairs, seed):
    values, clusters = np.array([v for v, _ in pairs]), np.array([c for _, c in pairs])
    if len(set(clusters)) < 2:
        with pytest.raises(ValueError, match="two"):
            clustered_interval(values, clusters)
        return
    mean, low, high = clustered_interval(values, clusters, seed=seed, resamples=200)
    assert values.min() - 1e-12 <= low <= high <= values.max() + 1e-12
    assert mean == pytest.approx(values.mean())
    shuffled = np.random.default_rng(seed).permutation(len(values))
    assert clustered_interval(values[shuffled], clusters[shuffled], seed=seed, resamples=200) == pytest.approx(
        (mean, low, high)
    )


def test_coverage_where_queries_of_a_document_are_alike():
    """300 data sets of 80 documents with 5 queries each, two thirds of whose variance is the document's.

    An interval that covers 95 % is covered by the binomial bounds at a false-alarm rate of 1e-4; one that takes
    queries one at a time covers about 70 % and would fail it.
    """
    generator = np.random.default_rng(5)
    clusters, covered, naive = np.repeat(np.arange(80), 5), 0, 0
    for trial in range(300):
        values = generator.normal(0, math.sqrt(2), 80)[clusters] + generator.normal(0, 1, 400)
        _, low, high = clustered_interval(values, clusters, seed=trial, resamples=400)
        covered += low <= 0 <= high
        _, low, high = clustered_interval(values, np.arange(400), seed=trial, resamples=400)
        naive += low <= 0 <= high
    assert stats.binomtest(covered, 300, 0.94).pvalue > 1e-4  # percentile intervals of 80 documents cover about 94 %
    assert naive / 300 < 0.85


def test_impossible_intervals_are_refused():
    with pytest.raises(ValueError, match="two"):
        clustered_interval([1.0, 2.0], [3, 3])
    with pytest.raises(ValueError, match="level"):
        clustered_interval([1.0, 2.0], [3, 4], level=1.0)
