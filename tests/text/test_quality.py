"""Quality of synthetic queries: n-grams, BLEU, copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from labkit.data.pairs import Pairs
from labkit.text.quality import bleu, copies, distinct_n


def pairs(*told: tuple[str, int]) -> Pairs:
    return Pairs(tuple(query for query, _ in told), np.array([row for _, row in told]), np.zeros(len(told), bool))


def test_distinct_words_by_hand() -> None:
    texts = ["a b A", "a b", "c"]  # a b a a b c, and ab ba ab
    assert distinct_n(texts, 1) == 3 / 6
    assert distinct_n(texts, 2) == 2 / 3


def test_words_do_not_run_over_the_end_of_a_query() -> None:
    assert distinct_n(["a b", "b a"], 2) == 1.0
    assert math.isnan(distinct_n(["a", "b"], 2))
    assert math.isnan(distinct_n([], 1))


@given(st.lists(st.text("ab ", max_size=6), max_size=6), st.integers(1, 3))
def test_a_share_is_a_share(texts: list[str], n: int) -> None:
    found = distinct_n(texts, n)
    assert math.isnan(found) or 0 < found <= 1


def test_bleu_by_hand() -> None:
    # Five words against six: precisions 4/5, 3/4, 2/3, 1/2, and the brevity penalty exp(1 - 6/5).
    found = bleu(["the kidney is very red"], [7], ["the kidney is very large now"], [7])
    precision = (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    assert found == pytest.approx(100 * precision * math.exp(1 - 6 / 5))


def test_bleu_against_all_queries_of_the_same_document() -> None:
    synthetic, rows = ["a cyst of the kidney", "fits that come and go"], [0, 1]
    real, real_rows = ["fits that come and go", "a cyst of the kidney", "kidney trouble of a kind"], [1, 0, 0]
    assert bleu(synthetic, rows, real, real_rows) == pytest.approx(100)
    assert bleu(synthetic, rows[::-1], real, real_rows) < 30
    told = sacrebleu.corpus_bleu(
        ["a red cyst of the kidney", "fits that"],
        [["a cyst of the kidney", "fits that come and go"], ["kidney trouble of a kind", None]],
        lowercase=True,
    )
    assert bleu(["a red cyst of the kidney", "Fits that"], rows, real, real_rows) == pytest.approx(told.score)


def test_bleu_leaves_out_documents_without_real_queries() -> None:
    assert bleu(["one two three four", "junk"], [0, 5], ["One two three four"], [0]) == pytest.approx(100)
    assert math.isnan(bleu(["junk"], [5], ["one"], [0]))
    assert math.isnan(bleu([], [], [], []))


def test_copies_by_hand() -> None:
    train = pairs(("kidney cyst", 0), ("fits", 1), ("pain", 2))
    synthetic, rows = ["Kidney  cyst", "kidney cyst", "kidney", "PAIN "], [0, 1, 0, 2]
    found = copies(synthetic, rows, train)
    assert found.same == 2 / 4  # the first and the last
    assert found.anywhere == 3 / 4  # the second was asked for another document


def test_no_queries_no_share() -> None:
    found = copies([], [], pairs(("pain", 0)))
    assert math.isnan(found.same)
    assert math.isnan(found.anywhere)


def test_a_query_for_each_document() -> None:
    with pytest.raises(ValueError, match="zip"):
        copies(["pain"], [], pairs(("pain", 0)))
    with pytest.raises(ValueError, match="zip"):
        bleu(["pain"], [], ["pain"], [0])
