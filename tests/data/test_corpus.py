from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest

from labkit.data.corpora import load_corpus
from labkit.data.corpus import make_corpus, one_line
from labkit.errors import BadInput

TEXTS = {
    "documents": ["a b", "c"],
    "queries": ["q", "é"],
    "relevant": [1, 0],
    "lay": [True, False],
    "titles": ["A", "C"],
}


def made(public=True, key=b"", **change):
    return make_corpus("tiny", **(TEXTS | change), licence="none", public=public, key=key)


def test_fingerprint_by_hand():
    content = '[["a b","c"],["A","C"],["q","é"]]'.encode() + np.array([1, 0], "<i8").tobytes() + bytes([1, 0])
    assert made().fingerprint == hashlib.sha256(content).hexdigest()
    assert made(public=False, key=b"key").fingerprint == hmac.new(b"key", content, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"documents": ["a", "b c"]},
        {"queries": ["q", "e"]},
        {"relevant": [0, 0]},
        {"lay": [True, True]},
        {"titles": ["A", "B"]},
        {"titles": []},
        {"documents": ["a b"], "titles": ["A"], "relevant": [0, 0]},
    ],
)
def test_whatever_a_run_would_read_changes_the_fingerprint(change):
    assert made(**change).fingerprint != made().fingerprint


def test_a_text_cannot_move_from_one_place_to_another():
    one = make_corpus("x", ["a"], ["c"], [0], titles=["b"], licence="", public=True)
    two = make_corpus("x", ["a", "b"], ["c"], [0], licence="", public=True)
    assert one.fingerprint != two.fingerprint


def test_queries_that_are_not_public_have_no_plain_hash():
    with pytest.raises(ValueError, match="needs the store's key"):
        made(public=False)
    assert made(public=False, key=b"one").fingerprint != made(public=False, key=b"two").fingerprint
    assert made(key=b"one").fingerprint == made().fingerprint  # public texts are named alike in every store


def test_types_and_defaults():
    corpus = make_corpus("x", ["a"], ["b", "c"], [0, 0], licence="", public=True)
    assert (corpus.relevant.dtype, corpus.lay.dtype) == (np.int64, np.bool_)
    assert not corpus.lay.any()
    assert corpus.titles == ()
    assert len(corpus) == 2


@pytest.mark.parametrize("change", [{"relevant": [0]}, {"lay": [True]}, {"titles": ["A"]}])
def test_lengths_must_fit(change):
    with pytest.raises(ValueError, match="one document and one flag for each query"):
        made(**change)


@pytest.mark.parametrize("name", ["", "hpo2", "/no/such/folder", "digits"])
def test_an_unknown_corpus(name):
    with pytest.raises(BadInput, match=r"allowed: hpo, hub:NAME, or a folder"):
        load_corpus(name)


def test_one_line():
    assert one_line(" a\n\tb\u2028c ") == "a b c"
