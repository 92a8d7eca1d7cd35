from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest

from labkit.data import movies
from labkit.data.table import private_vocabulary
from labkit.data.table_split import split_table
from labkit.data.tables import load_table
from labkit.errors import BadInput


def test_published_counts():
    table = load_table("movies")
    assert len(table) == len(table.texts) == 10_072
    assert round(table.labels.mean(), 3) == 0.496
    assert (table.ids.shape, table.sizes, table.columns, table.bag) == ((10_072, 0), (), ("word",), True)
    assert table.public
    assert not private_vocabulary(table)  # a tokenizer's words are published with it


def test_by_hand_the_first_sentences():
    table = load_table("movies")
    assert table.texts[0].startswith("The Rock is destined to be the 21st Century's new ''Conan''")
    assert table.texts[2] == "Effective but too tepid biopic"
    assert table.labels[:4].tolist() == [1, 1, 0, 1]


def test_against_the_valences():
    rows = gzip.decompress((movies.FILES / movies.FILE).read_bytes()).decode().splitlines()
    assert len(rows) == 10_605
    valences = np.array([float(row.split("\t")[0]) for row in rows])
    clear = np.abs(valences) >= 0.5
    np.testing.assert_array_equal(load_table("movies").labels, valences[clear] > 0)
    assert np.abs(valences).max() <= 4


def test_letters_are_whole():
    texts = " ".join(load_table("movies").texts)
    assert "clichés" in texts
    assert "Ã" not in texts
    assert "\ufffd" not in texts


def test_whole_sentences_cannot_be_split():
    with pytest.raises(ValueError, match="cut into words"):
        split_table(load_table("movies"), 0)


def test_an_altered_file_is_refused(tmp_path):
    shutil.copy(str(movies.FILES / movies.FILE), tmp_path / movies.FILE)
    raw = gzip.decompress((tmp_path / movies.FILE).read_bytes())
    (tmp_path / movies.FILE).write_bytes(gzip.compress(raw[:-10] + b"\n"))
    with pytest.raises(BadInput, match=r"movies\.tsv\.gz.*altered"):
        movies.load(tmp_path)


def test_the_licence_is_beside_the_file():
    text = (movies.FILES / "LICENSE-movies.txt").read_text()
    assert "MIT License" in text
    assert "2016 C.J. Hutto" in text
