from __future__ import annotations

import json
from pathlib import Path

import pytest

from labkit.data.corpora import load_corpus
from labkit.errors import BadInput

DOCUMENTS = [
    {"_id": "d1", "title": "One", "text": "first\ndocument"},
    {"_id": "7", "title": "", "text": "second"},
    {"_id": "d3", "text": "third"},
]
QUERIES = [{"_id": "q1", "text": "what?"}, {"_id": "q2", "text": "why?"}, {"_id": "q3", "text": "unjudged"}]
HEADER = "query-id\tcorpus-id\tscore\n"


def write(folder: Path, documents=DOCUMENTS, queries=QUERIES, **qrels: str) -> Path:
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if qrels:
        (folder / "qrels").mkdir()
    for name, text in qrels.items():
        (folder / "qrels" / f"{name}.tsv").write_text(HEADER + text, encoding="utf-8")
    return folder


def test_by_hand_all_judgements_as_pairs(tmp_path):
    write(tmp_path, train="q1\td1\t1\nq1\td3\t2\nq2\td1\t0\n", test="q2\t7\t1\nq1\td1\t1\n")
    corpus = load_corpus(str(tmp_path), key=b"key")
    assert corpus.documents == ("One first document", "second", "third")
    assert sorted(zip(corpus.queries, corpus.relevant.tolist(), strict=True)) == [
        ("what?", 0),
        ("what?", 2),
        ("why?", 1),
    ]
    assert corpus.titles == ()  # not every document has one
    assert not corpus.lay.any()
    assert not corpus.public
    assert corpus.name == tmp_path.name


def test_one_file_of_judgements_and_titles(tmp_path):
    write(tmp_path, [row | {"title": row["_id"]} for row in DOCUMENTS])
    (tmp_path / "qrels.tsv").write_text(HEADER + "q1\td3\t1\n\n")
    corpus = load_corpus(str(tmp_path), key=b"key")
    assert corpus.titles == ("d1", "7", "d3")
    assert corpus.relevant.tolist() == [2]


def test_a_users_own_queries_have_a_keyed_fingerprint(tmp_path):
    write(tmp_path, train="q1\td1\t1\n")
    with pytest.raises(ValueError, match="store's key"):
        load_corpus(str(tmp_path))
    one, two = (load_corpus(str(tmp_path), key=key).fingerprint for key in (b"one", b"two"))
    assert one != two


@pytest.mark.parametrize(
    ("change", "train", "line"),
    [
        (
            {"documents": [*DOCUMENTS, {"_id": "d4", "title": " ", "text": "\n"}]},
            "q1\td1\t1\n",
            "document 'd4' is empty",
        ),
        ({"queries": [*QUERIES, {"_id": "q4", "text": " "}]}, "q1\td1\t1\n", "query 'q4' is empty"),
        ({"queries": [*QUERIES, {"_id": "q4"}]}, "q1\td1\t1\n", "query 'q4' is empty"),
        ({"queries": [*QUERIES, {"_id": "q4", "text": 3}]}, "q1\td1\t1\n", "text of 'q4' .line 4. is none"),
        ({"documents": [*DOCUMENTS, DOCUMENTS[0]]}, "q1\td1\t1\n", "document 'd1' comes twice"),
        ({"documents": [*DOCUMENTS, {"_id": 4, "text": "x"}]}, "q1\td1\t1\n", "line 4 of corpus.jsonl has none"),
        ({"queries": ["no json"]}, "q1\td1\t1\n", "line 1 of queries.jsonl has none"),
        ({}, "q1\td9\t1\n", "a pair in train.tsv names document 'd9', which is missing"),
        ({}, "q9\td1\t1\n", "a pair in train.tsv names query 'q9', which is missing"),
        ({}, "q1\td1\t0\n", "at least one pair"),
        ({}, "", "at least one pair"),
        ({}, "q1\td1\n", "line 2 of train.tsv differs"),
        ({}, "q1\td1\tone\n", "line 2 of train.tsv differs"),
        ({}, "q1 d1 1\n", "line 2 of train.tsv differs"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, change, train, line):
    write(tmp_path, **change, train=train)
    with pytest.raises(BadInput, match=line) as caught:
        load_corpus(str(tmp_path), key=b"key")
    assert "\n" not in str(caught.value)
    assert caught.value.value == str(tmp_path)


@pytest.mark.parametrize(("gone", "line"), [("corpus", "corpus.jsonl is missing"), ("queries", "queries.jsonl is")])
def test_missing_files(tmp_path, gone, line):
    write(tmp_path, train="q1\td1\t1\n")
    (tmp_path / f"{gone}.jsonl").unlink()
    with pytest.raises(BadInput, match=line):
        load_corpus(str(tmp_path), key=b"key")


def test_no_judgements_and_no_utf8(tmp_path):
    write(tmp_path)
    with pytest.raises(BadInput, match="no qrels are there"):
        load_corpus(str(tmp_path), key=b"key")
    (tmp_path / "corpus.jsonl").write_bytes(b'{"_id": "a", "text": "\xff"}\n')
    with pytest.raises(BadInput, match=r"corpus.jsonl cannot be read"):
        load_corpus(str(tmp_path), key=b"key")
