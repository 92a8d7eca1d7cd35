from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.data.hashing import WIDE, common_cap, hashed, wide_hash
from labkit.data.table import Table, check_ids, make_table, rows_of
from labkit.errors import BadInput


def table(sizes: tuple[int, ...], n: int = 400, vocabulary: str = "declared") -> Table:
    random = np.random.default_rng(0)
    ids = np.stack([random.integers(0, size, n) for size in sizes], axis=1)
    columns = [f"c{place}" for place in range(len(sizes))]
    facts = {"licence": "none", "public": True, "vocabulary": vocabulary}
    return make_table("drawn", columns, ids, sizes, np.arange(n) % 2, **facts)


def test_a_hash_by_hand():
    told = blake2b(b"tailnum\x00N14228", digest_size=8).digest()
    assert wide_hash("tailnum", "N14228") == int.from_bytes(told, "little") % 2**60
    assert wide_hash("a", "b") != wide_hash("b", "a")
    assert wide_hash("ab", "c") != wide_hash("a", "bc")


def test_caps_by_hand():
    assert common_cap((16, 5706, 4037, 19), 1000) == 482  # 16 + 19 + 2 x 482 = 999
    assert common_cap((3, 3), 5) == 2
    assert common_cap((3, 3), 6) == 3
    assert common_cap((1, 100), 1) == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 300))
def test_the_cap_is_the_largest_that_fits(sizes, rows):
    cap = common_cap(tuple(sizes), rows)
    assert sum(min(size, cap) for size in sizes) <= rows
    if cap < max(sizes):
        assert sum(min(size, cap + 1) for size in sizes) > rows
    else:
        assert cap == max(sizes)


def test_small_columns_stay_and_large_ones_fit():
    before = table((4, 1000, 70))
    after = hashed(before, 150)
    assert after.sizes == (4, 76, 70)
    check_ids(after)
    np.testing.assert_array_equal(after.ids[:, [0, 2]], before.ids[:, [0, 2]])
    expected = [wide_hash("c1", str(number)) % 76 for number in before.ids[:, 1].tolist()]
    assert after.ids[:, 1].tolist() == expected
    assert after.fingerprint == before.fingerprint
    assert after.vocabulary == "declared; columns of more than 76 ids hashed into 76 buckets each"
    assert rows_of(after) == 150


def test_what_fits_and_zero_change_nothing():
    before = table((4, 10))
    assert hashed(before, 14) is hashed(before, 0) is before
    assert hashed(before, 13) is not before


def test_a_bucket_does_not_depend_on_the_other_examples():
    whole, fewer = table((1000,), 400), table((1000,), 100)
    np.testing.assert_array_equal(hashed(whole, 50).ids[:100], hashed(fewer, 50).ids[:100])


def test_buckets_are_spread_evenly():
    # 20,000 ids into 50 buckets: a chi-square at the 0.1 % level of one fixed public function.
    ids = np.arange(20_000)[:, None]
    facts = {"licence": "none", "public": True, "vocabulary": "declared"}
    spread = hashed(make_table("all", ("c",), ids, (20_000,), ids[:, 0] % 2, **facts), 50).ids
    assert stats.chisquare(np.bincount(spread[:, 0], minlength=50)).pvalue > 0.001


def test_wide_hashes_are_folded_and_say_so():
    after = hashed(table((WIDE, WIDE), vocabulary=""), 60)
    assert after.sizes == (30, 30)
    assert after.vocabulary == "hashed into 60 buckets, whatever the data hold"
    check_ids(after)


def test_a_bag_keeps_its_empty_places():
    words = np.array([[5, -1, 900], [900, 7, 7]])
    facts = {"licence": "none", "public": True, "vocabulary": "declared"}
    after = hashed(make_table("bag", ("word",), words, (1000,), np.array([0, 1]), bag=True, **facts), 20)
    assert after.sizes == (20,)
    assert after.ids[0, 1] == -1
    assert (after.ids >= 0).sum() == 5
    assert after.ids[0, 2] == after.ids[1, 0]
    assert after.vocabulary == "hashed into 20 buckets, whatever the data hold"
    check_ids(after)


@pytest.mark.parametrize("vocabulary", [1, 2, -5])
def test_fewer_rows_than_columns(vocabulary):
    with pytest.raises(BadInput, match=r"vocabulary = .*3 rows or more, one for each column"):
        hashed(table((4, 10, 3)), vocabulary)
    assert hashed(table((4, 10, 3)), 3).sizes == (1, 1, 1)
