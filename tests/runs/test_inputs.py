"""What a Spec names, loaded: images to be split, a corpus, and pretrained weights, which name the run too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_experiment import FakeSpec

from labkit.data import Split
from labkit.data.corpus import Corpus
from labkit.data.models import find_model
from labkit.errors import BadInput
from labkit.experiments.queries.spec import QueriesSpec
from labkit.runs import Store, run_name
from labkit.runs.inputs import fingerprint, load_inputs, weights

HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's own corpus of one pair."""
    made = tmp_path / "own"
    made.mkdir()
    (made / "corpus.jsonl").write_text('{"_id": "d", "text": "a document"}\n')
    (made / "queries.jsonl").write_text('{"_id": "q", "text": "a question"}\n')
    (made / "qrels.tsv").write_text(HEADER + "q\td\t1\n")
    return made


def test_images_are_split_and_need_no_weights(store):
    spec = FakeSpec.of(data="digits")
    assert isinstance(load_inputs(spec, store), Split)
    assert load_inputs(spec, store).fingerprint == fingerprint(spec, store)
    assert weights(spec) == ""


def test_a_corpus_is_whole_and_its_fingerprint_keyed_by_the_store(store, folder, tmp_path):
    spec = QueriesSpec.of(data=str(folder))
    found = load_inputs(spec, store)
    assert isinstance(found, Corpus)
    assert (found.queries, found.public) == (("a question",), False)
    assert found.fingerprint == fingerprint(spec, store)
    with Store(tmp_path / "other") as other:
        assert fingerprint(spec, other) != found.fingerprint
    assert fingerprint(QueriesSpec.of(), store) == load_inputs(QueriesSpec.of(data="hpo"), store).fingerprint


def test_another_question_is_another_fingerprint(store, folder):
    before = fingerprint(QueriesSpec.of(data=str(folder)), store)
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "a question!"}\n')
    assert fingerprint(QueriesSpec.of(data=str(folder)), store) != before


def test_other_weights_in_the_same_folder_are_another_run(store, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(find_model("tiny").folder, copy)
    spec = QueriesSpec.of(model=str(copy), epsilon="3")
    before = weights(spec)
    assert before == find_model(str(copy)).sha256
    names = {run_name("03", 1, spec.points()[0], "f" * 64, before)}
    (copy / "README.md").write_text("another card")  # any of its files
    after = weights(spec)
    assert after != before
    names.add(run_name("03", 1, spec.points()[0], "f" * 64, after))
    names.add(run_name("03", 1, spec.points()[0], "f" * 64))
    assert len(names) == 3


def test_weights_that_are_not_here(store, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BadInput, match="labkit fetch smollm2-135m-gguf"):
        weights(QueriesSpec.of(model="smollm2-135m-gguf"))
