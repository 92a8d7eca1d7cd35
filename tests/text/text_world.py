"""Small random language models and pairs for tests: nothing is downloaded, everything follows from a seed."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from labkit.data.models import ModelFiles
from labkit.text.gradients import Examples
from labkit.text.language import Language, Tokens
from labkit.text.lora import Adapters

WORDS = 50
FILES = ModelFiles("random", Path(), "0" * 64, "none")


def language(kind: str, dtype: torch.dtype = torch.float64, device: str = "cpu") -> Language:
    """A random decoder-only model (llama, gpt2) or an encoder-decoder (t5)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "llama":
            shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
            heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
            model = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, max_position_embeddings=64, **shape, **heads))
        elif kind == "gpt2":
            model = GPT2LMHeadModel(GPT2Config(vocab_size=WORDS, n_positions=64, n_embd=16, n_layer=2, n_head=2))
        else:
            model = T5ForConditionalGeneration(
                T5Config(
                    vocab_size=WORDS, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0
                )
            )
    return Language(model.to(device, dtype).eval(), None, kind == "t5", FILES)


def adapters(
    kind: str, dtype: torch.dtype = torch.float64, device: str = "cpu", targets: str = "all-linear"
) -> Adapters:
    """Adapters of rank 2 that are already at work: B is not zero."""
    made = Adapters(language(kind, dtype, device), rank=2, seed=0, targets=targets)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in made.layers.values():
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * 0.3)
    return made


def examples(pairs: int, per_unit: int = 1, device: str = "cpu") -> Examples:
    """Pairs at six documents; prompts padded on the left, queries on the right; the last place of unit 0 is empty where
    units hold several."""
    generator = torch.Generator().manual_seed(2)
    prompts = Tokens(torch.randint(3, WORDS, (6, 7), generator=generator), torch.ones(6, 7, dtype=torch.bool))
    queries = Tokens(torch.randint(3, WORDS, (pairs, 5), generator=generator), torch.ones(pairs, 5, dtype=torch.bool))
    for row in range(6):
        prompts.mask[row, : row % 4] = False
    for row in range(pairs):
        queries.mask[row, 2 + row % 4 :] = False
    units = torch.arange(pairs).view(-1, per_unit)
    if per_unit > 1:
        units[0, -1] = -1
    documents = torch.randint(0, 6, (pairs,), generator=generator)
    return Examples(prompts.to(device), queries.to(device), documents.to(device), units.to(device))
