from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.corpora import load_corpus
from labkit.data.corpus import Corpus, make_corpus
from labkit.data.pairs import Pairs, capped, split_pairs
from labkit.errors import BadInput
from labkit.streams import stream

FIRST = ("Coagulative necrosis within arcuate vein intima/media", "Pointed tooth")


def numbered(relevant: list[int], documents: int) -> Corpus:
    """Query i is the text "i", document d the text "d"."""
    lay = [place % 3 == 0 for place in range(len(relevant))]
    texts = [str(row) for row in range(documents)], [str(place) for place in range(len(relevant))]
    return make_corpus("numbered", *texts, relevant, lay=lay, titles=texts[0], licence="none", public=True)


def seen(part: Pairs) -> list[int]:
    return [int(query) for query in part.queries]


def parts(split) -> tuple[Pairs, Pairs, Pairs]:
    return split.train, split.selection, split.test


TEN = numbered([0, 0, 1, 1, 1, 2, 3, 3, 4, 4], 6)


def test_by_hand_ten_pairs():
    split = split_pairs(TEN, split_seed=3)
    order = torch.randperm(10, generator=stream(3, "split", "pair")).tolist()
    assert [seen(part) for part in parts(split)] == [order[:7], order[7:8], order[8:]]
    assert split.train.documents.tolist() == [TEN.relevant[place] for place in order[:7]]
    assert split.train.lay.tolist() == [place % 3 == 0 for place in order[:7]]
    assert split.documents == split.titles == ("0", "1", "2", "3", "4", "5")  # also the one that nobody asks for
    assert (split.by, split.fingerprint, split.public) == ("pair", TEN.fingerprint, True)


def test_hpo_is_cut_into_14213_2030_and_4061():
    split = split_pairs(load_corpus("hpo"), split_seed=0)
    assert [len(part) for part in parts(split)] == [14213, 2030, 4061]
    assert len(split.documents) == 9264
    assert split.train.documents.dtype == np.int64
    # Stored runs name split_seed alone: another shuffle would mix two splits under one name.
    assert split.train.queries[:2] == FIRST


@st.composite
def corpora(draw):
    documents = draw(st.integers(12, 40))
    more = draw(st.lists(st.integers(0, documents - 1), max_size=60))
    return numbered([*range(documents), *more], documents)


@settings(max_examples=30, deadline=None)
@given(corpus=corpora(), seed=st.integers(0, 2**31 - 1), by=st.sampled_from(["pair", "document"]), data=st.data())
def test_every_pair_of_the_kept_documents_lies_in_exactly_one_part(corpus, seed, by, data):
    documents = data.draw(st.just(0) | st.integers(12, len(corpus.documents)))
    split = split_pairs(corpus, seed, by, documents)
    kept = {int(text) for text in split.documents}
    assert len(kept) == len(split.documents) == (documents or len(corpus.documents))
    expected = [place for place, row in enumerate(corpus.relevant) if row in kept]
    assert sorted(seen(split.train) + seen(split.selection) + seen(split.test)) == expected
    for part in parts(split):
        for place, row, lay in zip(seen(part), part.documents, part.lay, strict=True):
            assert split.documents[row] == str(corpus.relevant[place])
            assert lay == (place % 3 == 0)
    if by == "document":
        train, selection, test = (set(part.documents.tolist()) for part in parts(split))
        assert len(train | selection | test) == len(train) + len(selection) + len(test)
        units = len(kept)
        assert (len(train), len(selection)) == (round(0.7 * units), round(0.1 * units))
    else:
        assert len(split.train) == round(0.7 * len(expected))


def test_a_sample_of_documents_does_not_look_at_queries():
    asked_for_others = numbered([*range(20, 40), *range(40)], 40)
    all_alike = numbered(list(range(40)), 40)
    one, two = (split_pairs(corpus, 5, documents=15).documents for corpus in (asked_for_others, all_alike))
    assert one == two
    assert one == split_pairs(all_alike, 5, "document", 15).documents
    assert list(map(int, one)) == sorted(map(int, one))
    assert one != split_pairs(all_alike, 6, documents=15).documents


def test_the_shuffle_is_its_seeds_alone():
    torch.manual_seed(1)
    first = split_pairs(TEN, 5)
    torch.manual_seed(2)
    assert split_pairs(TEN, 5).train.queries == first.train.queries
    assert any(split_pairs(TEN, seed).train.queries != first.train.queries for seed in (6, 7))


def test_parts_by_document_are_mixed_and_not_one_document_after_another():
    split = split_pairs(numbered([row for row in range(20) for _ in range(5)], 20), 0, "document")
    rows = split.train.documents
    assert (rows[1:] == rows[:-1]).mean() < 0.5


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"by": "query"}, "split_by = 'query'.*pair or document"),
        ({"documents": 7}, "documents = 7.*1 to 6"),
        ({"documents": -1}, "documents = -1"),
        ({"documents": 3}, "documents = 3.*at least 10 pairs"),
        ({"by": "document"}, "data = 'numbered'.*at least 10 documents with pairs to split; there are 5"),
    ],
)
def test_what_cannot_be_split(arguments, line):
    with pytest.raises(BadInput, match=line):
        split_pairs(TEN, 0, **arguments)


def pairs_of(documents: list[int]) -> Pairs:
    rows = np.array(documents, np.int64)
    return Pairs(tuple(map(str, documents)), rows, np.zeros(len(rows), bool))


def test_units_by_hand():
    rows = capped(pairs_of([4, 0, 4, 2, 4]), 3, seed=0)
    assert rows.tolist() == [[1, -1, -1], [3, -1, -1], [0, 2, 4]]
    assert rows.dtype == np.int64
    two = capped(pairs_of([4, 0, 4, 2, 4]), 2, seed=0)
    assert two[:2].tolist() == [[1, -1], [3, -1]]
    assert set(two[2]) < {0, 2, 4}
    assert len(set(two[2])) == 2


@settings(max_examples=50, deadline=None)
@given(documents=st.lists(st.integers(0, 9), max_size=40), at_most=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_units_are_a_documents_pairs_up_to_the_cap(documents, at_most, seed):
    rows = capped(pairs_of(documents), at_most, seed)
    assert rows.shape == (len(set(documents)), at_most)
    for unit, document in zip(rows, sorted(set(documents)), strict=True):
        kept = unit[unit >= 0]
        assert [documents[row] for row in kept] == [document] * min(at_most, documents.count(document))
        assert sorted(set(kept.tolist())) == kept.tolist()
        assert (unit[len(kept) :] == -1).all()


def test_which_pairs_a_document_keeps_is_uniform():
    # Chi-square over the 6 choices of 2 of 4 pairs, 600 seeds: a correct program would fail for 1 in 1,000 sets of
    # seeds (20.5 at 5 degrees of freedom); these are fixed.
    found = Counter(tuple(capped(pairs_of([0, 0, 0, 0]), 2, seed)[0].tolist()) for seed in range(600))
    assert len(found) == 6
    assert sum((count - 100) ** 2 / 100 for count in found.values()) < 20.5


def test_a_cap_of_nothing_is_refused():
    with pytest.raises(BadInput, match="at_most = 0"):
        capped(pairs_of([0]), 0, 0)


def test_a_private_corpus_stays_named_as_one():
    split = split_pairs(replace(TEN, public=False, licence="mine", titles=()), 0)
    assert (split.public, split.licence, split.titles) == (False, "mine", ())
