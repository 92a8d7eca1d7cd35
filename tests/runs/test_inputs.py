"""What a Spec names, loaded: images to be split, a corpus, a table, and pretrained weights, which name the run too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fake_experiment import FakeSpec

from labkit.data import Split
from labkit.data.corpus import Corpus
from labkit.data.image_models import find_image_model, named_image_models
from labkit.data.models import find_model
from labkit.data.table import Table
from labkit.errors import BadInput
from labkit.experiments.embeddings.spec import EmbeddingsSpec
from labkit.experiments.finetune.spec import FinetuneSpec
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


def test_a_table_is_whole_and_its_fingerprint_keyed_by_the_store(store, tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("label,colour\n" + "1,red\n0,blue\n" * 60)
    spec = EmbeddingsSpec.of(data=str(file))
    found = load_inputs(spec, store)
    assert isinstance(found, Table)
    assert (len(found.labels), found.columns, found.public) == (120, ("colour",), False)
    assert found.fingerprint == fingerprint(spec, store)
    with Store(tmp_path / "other") as other:
        assert fingerprint(spec, other) != found.fingerprint
    file.write_text("label,colour\n" + "1,red\n0,green\n" * 60)
    assert fingerprint(spec, store) != found.fingerprint


def test_a_public_tables_fingerprint_is_the_same_for_every_store(store, tmp_path):
    spec = EmbeddingsSpec.of(data="power-law:rows=400,examples=600")
    with Store(tmp_path / "other") as other:
        assert fingerprint(spec, store) == fingerprint(spec, other)


def test_a_model_that_is_none_has_no_weights_and_one_that_is_named_names_the_run(store):
    without, named = (EmbeddingsSpec.of(data="movies", model=model, epsilon="plain") for model in ("none", "tiny"))
    assert weights(without) == ""
    assert weights(named) == find_model("tiny").sha256
    names = {run_name("04", 1, named.points()[0], "f" * 64, sha) for sha in (weights(named), "", "0" * 64)}
    assert len(names) == 3


def test_a_model_for_images_is_an_image_model():
    for name in named_image_models():
        assert weights(FinetuneSpec.of(model=name)) == find_image_model(name).sha256
    with pytest.raises(BadInput, match="efficientnet-lite0, hub:OWNER/NAME, or an image model's folder"):
        weights(FinetuneSpec.of(model="tiny"))  # a language model


def test_a_model_of_a_table_that_is_not_here(store):
    with pytest.raises(BadInput, match="nobodys-model"):
        weights(EmbeddingsSpec.of(model="nobodys-model"))
