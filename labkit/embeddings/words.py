"""Sentences as bags of a language model's words, and that model's word vectors."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from labkit.data.models import find_model
from labkit.data.table import Table
from labkit.errors import BadInput


def cut(table: Table, model: str, words: int) -> Table:
    """The table with each sentence's first `words` tokens as its bag; the tokenizer's vocabulary is public.

    Raises:
        BadInput: the model is not here, or a sentence has no token.
    """
    from transformers import AutoTokenizer

    files = find_model(model)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    found = tokenizer(list(table.texts), add_special_tokens=False, truncation=True, max_length=words)["input_ids"]
    ids = np.full((len(found), words), -1, np.int64)
    for row, tokens in enumerate(found):
        if not tokens:
            raise BadInput("data", table.name, f"sentences with at least one token; number {row} has none")
        ids[row, : len(tokens)] = tokens
    said = f"the tokenizer's of {model}, whatever the sentences hold"
    return replace(table, ids=ids, sizes=(len(word_vectors(model)),), vocabulary=said, texts=())


@cache
def word_vectors(model: str) -> Tensor:
    """A model's input embeddings, float32 [V, E], scaled to a mean square of one number of 1 / E: read, never written.

    Raises:
        BadInput: the model is not here, or its weights hold no table of word vectors.
    """
    from safetensors import safe_open

    for file in sorted(find_model(model).folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118, it is no mapping
                if name.endswith(("embed_tokens.weight", "word_embeddings.weight", "wte.weight", "shared.weight")):
                    vectors = weights.get_tensor(name).to(torch.float32)
                    return vectors / (vectors.square().mean() * vectors.shape[1]).sqrt()
    raise BadInput("model", model, "a model with word vectors: embed_tokens, word_embeddings, wte or shared")
