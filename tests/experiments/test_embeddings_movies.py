"""Notebook 04 on sentences: word vectors trained whole, and frozen under a low-rank change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small_embeddings import EXPERIMENT, Given, Told, jobs, lab, recorded, results, told

from labkit.data.table import Table
from labkit.data.tables import load_table
from labkit.embeddings.words import word_vectors
from labkit.experiments.embeddings.limits import width

MOVIES = {"data": "movies", "model": "tiny", "words": 8, "k": "40", "epochs": 1.0, "epsilon": "8,plain"}
RANK = 4


@pytest.fixture(scope="module")
def movies() -> Table:
    whole = load_table("movies")
    some = slice(None, None, 33)  # of both labels, which lie apart
    return replace(whole, texts=whole.texts[some], labels=whole.labels[some], ids=whole.ids[some])


@pytest.fixture(scope="module", params=[0, RANK], ids=["vectors", "adapter"])
def trained(request, movies) -> tuple[int, list[Given], Told]:
    with pytest.MonkeyPatch.context() as patch:
        begun = recorded(patch)
        return request.param, begun, told(jobs(**MOVIES, adapter_rank=request.param), movies)


def test_every_method_trains_and_is_scored(trained):
    rank, begun, events = trained
    rows = results(events)
    vectors = word_vectors("tiny")
    assert [row["arm"] for row in rows.values()] == ["dpsgd", "fest", "adafest", "adafest_plus", "lazydp", "plain"]
    for row in rows.values():
        assert (row["rows"], row["dim"]) == (len(vectors), rank or vectors.shape[1])
        assert 0 < row["auc"] < 1
        assert row["test_rows"] == 61
    assert len({row["log_loss"] for row in rows.values()}) == len(rows)
    assert rows[1]["survivors"] == 40
    assert len(begun) == 6


def test_where_the_tables_begin(trained):
    rank, begun, _ = trained
    vectors = word_vectors("tiny")
    for given in begun:
        table, _ = given.start
        if rank:  # a change of zero, on frozen vectors
            assert table.shape == (len(vectors), RANK)
            assert not table.any()
            assert given.vectors is vectors
        else:
            assert torch.equal(table, vectors)
            assert given.vectors is None
        assert not torch.equal(given.table, table)  # and it moved


def test_frozen_vectors_are_not_changed(trained):
    """They are read from the file once in a process: whoever writes into them changes every later training."""
    loaded = word_vectors("tiny")
    assert torch.equal(loaded, word_vectors.__wrapped__("tiny"))
    assert all(given.table is not loaded for given in trained[1])


def test_words_are_cut(movies):
    for words in (3, 8):
        some = lab(movies, **MOVIES | {"words": words})
        split = some.ground(some.point(0)).split
        assert split.train.ids.shape == (214, words)
        assert split.bag
        assert split.sizes == (len(word_vectors("tiny")),)


def test_the_width_that_is_foretold(trained):
    rank, begun, _ = trained
    point = jobs(**MOVIES, adapter_rank=rank)[0].point
    assert width(point) == begun[0].table.shape[1]


def test_the_whole_set_of_sentences_can_be_checked():
    whole = load_table("movies")
    EXPERIMENT.check(jobs(**MOVIES)[0].point, whole)
    assert "tokenizer" in EXPERIMENT.costs(jobs(**MOVIES)[0].point, whole)
