from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labkit.data.hashing import hashed, wide_hash
from labkit.data.table import private_vocabulary
from labkit.data.table_split import capped_units, split_table
from labkit.data.tables import load_table
from labkit.errors import BadInput

KEY = b"the store's key"


@pytest.fixture
def instructors(tmp_path: Path) -> Path:
    """As R writes it: quoted, with row names in a column without a name."""
    rows = [f'"{n + 1}","{n % 30}","{n % 12}","2","1","{n % 2}","{n % 5}",{n % 5 + 1}' for n in range(150)]
    path = tmp_path / "insteval.csv"
    path.write_text("\n".join(['"","s","d","studage","lectage","service","dept","y"', *rows]) + "\n")
    return path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The layout of ml-100k."""
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    rated = [f"{n % 20 + 1}\t{n % 15 + 1}\t{n % 5 + 1}\t88125094{n % 10}" for n in range(200)]
    (folder / "u.data").write_text("\n".join(rated) + "\n")
    (folder / "u.user").write_text("\n".join(f"{n}|{n + 4}|{'MF'[n % 2]}|writer|85711" for n in range(1, 21)) + "\n")
    flags = "|".join("0" * 19)
    days = ["01-Jan-1995"] * 14 + [""]
    items = [f"{n}|Amélie ({n})|{day}||http://x|{flags}" for n, day in enumerate(days, start=1)]
    (folder / "u.item").write_text("\n".join(items) + "\n", encoding="latin-1")
    return folder


def test_insteval_by_hand(instructors):
    table = load_table(f"insteval:{instructors}", KEY)
    assert table.columns == ("s", "d", "studage", "lectage", "service", "dept")
    assert table.labels[:5].tolist() == [0, 0, 0, 1, 1]  # y of 1 to 5
    assert len(np.unique(table.persons)) == 30
    np.testing.assert_array_equal(table.persons == table.persons[0], table.ids[:, 0] == wide_hash("s", "0"))
    assert not table.public
    assert private_vocabulary(table)


def test_a_rating_is_not_a_person(instructors):
    table = hashed(load_table(f"insteval:{instructors}", KEY), 40)
    split = split_table(table, 0, by="person")
    people = set(split.train.persons.tolist())
    assert len(people) == 21
    assert not people & set(split.test.persons.tolist())
    units = capped_units(split.train.persons, 3, seed=0)
    assert units.shape == (21, 3)
    assert (units >= 0).all()  # everybody gave five


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"y"', '"z"', "the columns s, d, studage, lectage, service, dept, y; y is not there"),
        (
            '"4","4","2","1","0","4",5',
            '"4","4","2","1","0","4",6',
            "above 0 and at most 5 in y; line 6 has '6'",
        ),
        ('"4","4","2","1","0","4",5', '"4","4","2","1","0","4",x', "line 6 has 'x'"),
        ('"4","4","2","1","0","4",5', '"4","","2","1","0","4",5', "line 6 has one, d"),
    ],
)
def test_insteval_that_cannot_be_read(instructors, old, new, line):
    instructors.write_text(instructors.read_text().replace(old, new, 1))
    with pytest.raises(BadInput, match=line):
        load_table(f"insteval:{instructors}", KEY)


def test_movielens_by_hand(films):
    table = load_table(f"movielens:{films}", KEY)
    assert table.columns == ("user", "item", "age", "gender", "occupation", "year")
    assert table.labels[:5].tolist() == [0, 0, 0, 1, 1]
    assert len(np.unique(table.persons)) == 20
    told = [("user", "15"), ("item", "15"), ("age", "10s"), ("gender", "F"), ("occupation", "writer")]
    expected = [wide_hash(column, value) for column, value in [*told, ("year", "unknown")]]
    assert table.ids[14].tolist() == expected
    assert table.ids[0, 2] == wide_hash("age", "00s")
    assert table.ids[0, 5] == wide_hash("year", "1995")
    assert "no redistribution" in table.licence


def test_movielens_without_the_other_files(films):
    (films / "u.user").unlink()
    (films / "u.item").unlink()
    assert load_table(f"movielens:{films}", KEY).columns == ("user", "item")


def test_movielens_as_a_csv(tmp_path):
    rows = [f"{n % 9},{n % 7},{(n % 10 + 1) / 2},1" for n in range(120)]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]) + "\n")
    table = load_table(f"movielens:{tmp_path}", KEY)
    assert table.columns == ("user", "item")
    assert table.labels[:10].tolist() == [0] * 7 + [1] * 3  # 4.0, 4.5 and 5.0
    assert len(np.unique(table.persons)) == 9


def test_a_vocabulary_is_declared_beside_the_folder(films):
    (films.parent / "ml-100k.vocabulary.json").write_text('{"user": 21, "item": 16}')
    (films / "u.user").unlink()
    (films / "u.item").unlink()
    table = load_table(f"movielens:{films}", KEY)
    assert table.sizes == (21, 16)
    assert table.ids[0].tolist() == [1, 1]


def test_what_is_missing_is_named(films, tmp_path):
    (films / "u.user").write_text("1|24|M|writer|85711\n")
    with pytest.raises(BadInput, match=r"a line of u\.user for every number in u\.data; 2 of line 2 has none"):
        load_table(f"movielens:{films}", KEY)
    (films / "u.data").write_text("1\t2\t3\n")
    with pytest.raises(BadInput, match=r"4 fields in every line of u\.data; line 1 has 3"):
        load_table(f"movielens:{films}", KEY)
    with pytest.raises(BadInput, match=r"holds u\.data or ratings\.csv"):
        load_table(f"movielens:{tmp_path}", KEY)
