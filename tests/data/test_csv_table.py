from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.data.hashing import WIDE, hashed, wide_hash
from labkit.data.own_table import declared
from labkit.data.table import check_ids, private_vocabulary, rows_of
from labkit.data.tables import load_table
from labkit.errors import BadInput

KEY = b"the store's key"
HEADER = "colour,shop,person,month,label"


def row(number: int) -> str:
    return f"{('red', 'green', 'blue')[number % 3]},{number % 7},p{number % 11},{number % 4 + 1},{number % 2}"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def written(lines: list[str] | None = None, header: str = HEADER, vocabulary: object = None) -> str:
        path = tmp_path / "sales.csv"
        body = [row(number) for number in range(120)] if lines is None else lines
        path.write_text("\n".join([header, *body]) + "\n", encoding="utf-8")
        if vocabulary is not None:
            (tmp_path / "sales.csv.vocabulary.json").write_text(json.dumps(vocabulary))
        return str(path)

    return written


def test_by_hand_columns_labels_persons_months(write):
    table = load_table(write(), KEY)
    assert (table.name, table.columns, table.sizes) == ("sales", ("colour", "shop"), (WIDE, WIDE))
    assert table.ids[4].tolist() == [wide_hash("colour", "green"), wide_hash("shop", "4")]
    assert table.labels[:4].tolist() == [0, 1, 0, 1]
    assert table.months[:5].tolist() == [1, 2, 3, 4, 1]
    assert len(np.unique(table.persons)) == 11
    assert table.persons[0] == table.persons[11] != table.persons[1]
    assert not table.public
    check_ids(table)


def test_persons_and_months_may_be_missing(write):
    table = load_table(write([f"{number % 3},{number % 2}" for number in range(100)], "kind,label"), KEY)
    assert table.persons is table.months is None
    assert table.columns == ("kind",)


def test_against_a_dictionary_reader(write):
    name = write()
    table = load_table(name, KEY)
    with open(name, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = dict(zip((r["shop"] for r in rows), table.ids[:, 1].tolist(), strict=True))
    assert len(set(known.values())) == len(known) == 7
    assert [known[r["shop"]] for r in rows] == table.ids[:, 1].tolist()
    assert [int(r["label"]) for r in rows] == table.labels.tolist()


def test_a_vocabulary_from_the_data_themselves_is_private(write):
    table = load_table(write(), KEY)
    assert private_vocabulary(table)
    assert table.vocabulary == ""
    folded = hashed(table, 50)
    assert not private_vocabulary(folded)
    assert rows_of(folded) == 50


def test_a_declared_vocabulary_gives_its_sizes_and_order(write):
    table = load_table(write(vocabulary={"colour": ["blue", "red", "green", "grey"], "shop": 9}), KEY)
    assert table.sizes == (4, 9)
    assert table.ids[:4].tolist() == [[1, 0], [2, 1], [0, 2], [1, 3]]
    assert table.vocabulary == "given in sales.csv.vocabulary.json"
    assert not private_vocabulary(table)
    check_ids(table)


def test_the_fingerprint_is_the_datas_and_not_the_vocabularys(write):
    plain = load_table(write(), KEY)
    given = load_table(write(vocabulary={"colour": ["red", "green", "blue"], "shop": 7}), KEY)
    assert given.fingerprint == plain.fingerprint
    assert load_table(write(), b"another").fingerprint != plain.fingerprint
    with pytest.raises(ValueError, match="the store's key"):
        load_table(write())


@pytest.mark.parametrize(
    ("vocabulary", "line"),
    [
        ({"colour": ["red", "green"], "shop": 7}, "column colour that sales.csv.vocabulary.json .*; line 4 has 'blue'"),
        ({"colour": ["red", "green", "blue"], "shop": 6}, "column shop that .*; line 8 has '6'"),
        ({"colour": 3, "shop": 7}, "column colour that .*; line 2 has 'red'"),
        ({"colour": ["red", "green", "blue"]}, "the vocabulary of column shop in"),
        ({"colour": ["red", "green", "blue"], "shop": 7, "size": 3}, "columns of the data alone, not size"),
        ({"colour": ["red", "red"], "shop": 7}, "column colour, each once"),
        ({"colour": [], "shop": 7}, "one or more values of column colour"),
        ({"colour": ["red"], "shop": 0}, "a size of 1 or more"),
        ({"colour": ["red"], "shop": True}, "a size of 1 or more"),
        (["colour"], "an object"),
    ],
)
def test_declarations_that_cannot_be(write, vocabulary, line):
    with pytest.raises(BadInput, match=line) as caught:
        load_table(write(vocabulary=vocabulary), KEY)
    assert "\n" not in str(caught.value)


def test_a_negative_id_is_named_with_its_line(write):
    body = [row(number) for number in range(120)]
    body[30] = "red,-3,p1,1,0"
    with pytest.raises(BadInput, match=r"column shop that .*; line 32 has '-3'"):
        load_table(write(body, vocabulary={"colour": ["red", "green", "blue"], "shop": 7}), KEY)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (",3,p1,1,0", "no empty field; line 32 has one, colour"),
        ("red,3,p1, ,0", "no empty field; line 32 has one, month"),
        ("", "no empty row; line 32 is one"),
        ("red,3,p1,1", "5 fields in every row; line 32 has 4"),
        ("red,3,p1,1,0,7", "5 fields in every row; line 32 has 6"),
        ("red,3,p1,1,2", "0 or 1 in column label; line 32 has '2'"),
        ("red,3,p1,1,yes", "0 or 1 in column label; line 32 has 'yes'"),
        ("red,3,p1,0,1", "whole numbers from 1 in column month; line 32 has '0'"),
        ("red,3,p1,May,1", "whole numbers from 1 in column month; line 32 has 'May'"),
        ('re"d",3,p1,1,1,"', "line 32|cannot"),
    ],
)
def test_a_row_that_cannot_be_is_named_by_its_line(write, wrong, line):
    body = [row(number) for number in range(120)]
    body[30] = wrong
    with pytest.raises(BadInput, match=line) as caught:
        load_table(write(body), KEY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "header", "line"),
    [
        ([row(number) for number in range(99)], HEADER, "at least 100 rows; there are 99"),
        ([], HEADER, "at least 100 rows; there are 0"),
        ([f"{n % 3},0" for n in range(120)], "kind,label", "labels of both kinds; every label is 0"),
        ([f"{n % 3},{n % 2}" for n in range(120)], "kind,late", "a column called label; there are kind, late"),
        ([f"{n % 2}" for n in range(120)], "label", "one or more columns beside label"),
        ([f"{n % 2},{n % 2}" for n in range(120)], "label,label", "each once"),
        ([f"{n % 2},{n % 2}" for n in range(120)], "label,", "the name of each column"),
    ],
)
def test_files_that_cannot_be(write, lines, header, line):
    with pytest.raises(BadInput, match=line) as caught:
        load_table(write(lines, header), KEY)
    assert "\n" not in str(caught.value)


def test_an_empty_file_and_one_of_bytes(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(BadInput, match="a first line with the name"):
        load_table(str(tmp_path / "a.csv"), KEY)
    (tmp_path / "b.csv").write_bytes(b"label,x\n\xff\xfe,1\n")
    with pytest.raises(BadInput, match=r"b\.csv cannot") as caught:
        load_table(str(tmp_path / "b.csv"), KEY)
    assert "\n" not in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.text("ab ,\"'é", min_size=1).filter(str.strip), min_size=100, max_size=110))
def test_any_strings_survive(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("csv") / "strings.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["x", "label"], *([value, n % 2] for n, value in enumerate(values))])
    table = load_table(str(path), KEY)
    assert table.ids[:, 0].tolist() == [wide_hash("x", value.strip()) for value in values]


def test_without_a_declaration_there_is_none(tmp_path):
    assert declared(tmp_path / "x.csv", ("a",), "x.csv") is None
