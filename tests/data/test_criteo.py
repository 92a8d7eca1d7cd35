from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.criteo import BUCKETS, CATEGORY, COLUMNS, MISSING, buckets
from labkit.data.hashing import hashed
from labkit.data.table import check_ids, private_vocabulary, rows_of
from labkit.data.tables import load_table
from labkit.errors import BadInput

KEY = b"the store's key"


def line(number: int) -> str:
    integers = [str(number), "", "-2", *["5"] * 10]
    categories = [f"{number * 7919:08x}", "", "ffffffff", *["00000000"] * 23]
    return "\t".join([str(number % 2), *integers, *categories])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "day.tsv"
    path.write_text("\n".join(line(number) for number in range(120)) + "\n")
    return path


def test_buckets_by_hand():
    # 3: log(3)^2 = 1.2; 8: 4.3; 1,000: 47.7. A missing number, -3 to 2 and the rest share nothing.
    numbers = np.array([MISSING, -3, -2, -1, 0, 1, 2, 3, 8, 1000, -(10**6), 10**12, 2**31 - 1])
    assert buckets(numbers).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 10, 53, 1, 467, 467]
    assert BUCKETS == 468


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 2**31 - 1))
def test_buckets_are_the_public_function(number):
    assert buckets(np.array([number]))[0] == 6 + math.floor(math.log(number) ** 2)


def test_rows_by_hand(file):
    table = load_table(f"criteo:{file}", KEY)
    assert len(table) == 120
    assert table.columns == COLUMNS
    assert table.sizes == (468,) * 13 + (2**32 + 1,) * 26
    assert table.labels[:3].tolist() == [0, 1, 0]
    assert table.ids[8, :4].tolist() == [10, 0, 2, 6 + 2]
    assert table.ids[8, 13:17].tolist() == [8 * 7919 + 1, 0, CATEGORY - 1, 1]
    assert private_vocabulary(table)
    assert not table.public
    check_ids(table)


def test_any_vocabulary_by_hashing(file):
    table = load_table(f"criteo:{file}", KEY)
    for vocabulary in (39, 10_000, 10**8):
        folded = hashed(table, vocabulary)
        assert rows_of(folded) <= vocabulary
        check_ids(folded)
    assert folded.sizes[0] == 468


def test_a_packed_file_reads_the_same(file):
    packed = file.with_suffix(".tsv.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    plain, unpacked = (load_table(f"criteo:{path}", KEY) for path in (file, packed))
    assert plain.fingerprint == unpacked.fingerprint
    np.testing.assert_array_equal(plain.ids, unpacked.ids)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (line(3)[:-9], "40 fields in every line; line 32 has 39"),
        ("", "line 32 has 1"),
        ("2" + line(3)[1:], "a label of 0 or 1; line 32 has '2'"),
        (line(3).replace("\t5\t", "\tx\t", 1), "hexadecimal ones; not in line 32"),
        (line(3).replace("ffffffff", "fffffffff"), "eight hexadecimal digits; line 32 has others"),
        (line(3).replace("ffffffff", "f" * 20), "not in line 32"),
        (line(3).replace("ffffffff", "-1"), "eight hexadecimal digits; line 32 has others"),
    ],
)
def test_a_line_that_cannot_be_is_named(file, wrong, said):
    rows = file.read_text().splitlines()
    rows[31] = wrong
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(BadInput, match=said) as caught:
        load_table(f"criteo:{file}", KEY)
    assert "\n" not in str(caught.value)


def test_too_few_and_one_class(file):
    rows = file.read_text().splitlines()
    file.write_text("\n".join(rows[:99]))
    with pytest.raises(BadInput, match="at least 100 lines; there are 99"):
        load_table(f"criteo:{file}", KEY)
    file.write_text("\n".join("1" + row[1:] for row in rows))
    with pytest.raises(BadInput, match="every label is 1"):
        load_table(f"criteo:{file}", KEY)
    file.write_text("")
    with pytest.raises(BadInput, match="there are 0"):
        load_table(f"criteo:{file}", KEY)


def test_what_is_no_packed_file(tmp_path):
    (tmp_path / "x.gz").write_text("no")
    with pytest.raises(BadInput, match=r"x\.gz cannot"):
        load_table(f"criteo:{tmp_path / 'x.gz'}", KEY)
