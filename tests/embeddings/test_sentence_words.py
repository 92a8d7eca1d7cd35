"""Sentences cut into a model's words, and its word vectors, which many trainings read and none may write."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from labkit.data.models import find_model
from labkit.data.table import Table
from labkit.data.tables import load_table
from labkit.embeddings.words import cut, word_vectors
from labkit.errors import BadInput

WORDS = 6


@pytest.fixture(scope="module")
def movies() -> Table:
    whole = load_table("movies")
    return replace(whole, texts=whole.texts[:50], labels=whole.labels[:50], ids=whole.ids[:50])


@pytest.fixture
def copied(tmp_path) -> Path:
    """The small model in a folder of its own."""
    folder = tmp_path / "model"
    shutil.copytree(find_model("tiny").folder, folder)
    return folder


@pytest.mark.parametrize("words", [WORDS, 40])  # fewer than a sentence has, and more than most
def test_a_sentence_is_the_bag_of_its_first_words(movies, words):
    found = cut(movies, "tiny", words)
    tokenizer = AutoTokenizer.from_pretrained(find_model("tiny").folder, local_files_only=True)
    assert found.ids.shape == (50, words)
    for text, row in zip(movies.texts, found.ids, strict=True):
        expected = tokenizer(text, add_special_tokens=False)["input_ids"][:words]
        assert row[: len(expected)].tolist() == expected
        assert set(row[len(expected) :]) <= {-1}
    assert found.sizes == (len(word_vectors("tiny")),)
    assert (found.texts, found.bag, found.labels is movies.labels) == ((), True, True)
    assert "tokenizer's of tiny" in found.vocabulary
    assert found.ids.max() < found.sizes[0]


def test_more_words_are_a_longer_bag(movies):
    few, many = cut(movies, "tiny", 3), cut(movies, "tiny", 40)
    assert np.array_equal(few.ids, many.ids[:, :3])
    assert (many.ids >= 0).sum() > (few.ids >= 0).sum()


def test_a_sentence_without_a_word(movies):
    with pytest.raises(BadInput, match="at least one token; number 1 has none"):
        cut(replace(movies, texts=("fine", "", "good")), "tiny", WORDS)


def test_vectors_by_hand():
    """A row of E numbers has a mean square norm of 1, and directions are the model's."""
    vectors = word_vectors("tiny")
    weights = load_file(next(find_model("tiny").folder.glob("*.safetensors")))
    (raw,) = [value.float() for name, value in weights.items() if name.endswith("embed_tokens.weight")]
    assert (vectors.dtype, vectors.shape) == (torch.float32, raw.shape)
    assert vectors.square().sum(1).mean() == pytest.approx(1, rel=1e-4)
    assert torch.allclose(vectors, raw * (vectors[0, 0] / raw[0, 0]), rtol=1e-4)


@pytest.mark.parametrize("name", ["transformer.wte.weight", "bert.embeddings.word_embeddings.weight", "shared.weight"])
def test_other_models_names_of_them(copied, name):
    (file,) = copied.glob("*.safetensors")
    save_file({"first.weight": torch.ones(2, 2), name: torch.arange(6.0).view(3, 2)}, file)
    vectors = word_vectors(str(copied))
    assert torch.allclose(vectors, torch.arange(6.0).view(3, 2) / (55 / 3) ** 0.5)


def test_a_model_without_word_vectors(copied):
    (file,) = copied.glob("*.safetensors")
    save_file({"first.weight": torch.ones(2, 2)}, file)
    with pytest.raises(BadInput, match="word vectors"):
        word_vectors(str(copied))


def test_a_model_that_is_not_here(movies):
    with pytest.raises(BadInput, match="model = 'nobodys-model'"):
        word_vectors("nobodys-model")
    with pytest.raises(BadInput, match="model = 'nobodys-model'"):
        cut(movies, "nobodys-model", WORDS)
