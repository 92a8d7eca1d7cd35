"""Nucleus sampling of queries against `generate` of transformers, on the same model and prompts."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import torch
from transformers import GenerationConfig

from benchmarks.common import Row, interleaved, report
from benchmarks.text import QUERY, SMALL, SMOLLM2, examples, language
from labkit.device import resolve
from labkit.text.language import Language
from labkit.text.sampling import sample

TOP_P, TARGET = 0.95, 1500


def sampling(device: torch.device, shape: dict[str, object], dtype: torch.dtype, queries: int) -> Row:
    """Queries a second, `queries` at once; all are of the full length, since no end token is ever drawn."""
    made = language(shape, device, dtype)
    never = shape["vocab_size"] + 1
    ours: Language = replace(made, tokenizer=SimpleNamespace(eos_token_id=never, pad_token_id=0))
    prompts = examples(queries, shape["vocab_size"], device).prompts
    config = GenerationConfig(
        do_sample=True,
        top_p=TOP_P,
        top_k=0,
        max_new_tokens=QUERY,
        min_new_tokens=QUERY,
        pad_token_id=0,
        eos_token_id=None,
    )

    def labkit() -> None:
        for _ in sample(
            ours, prompts, range(queries), length=QUERY, top_p=TOP_P, temperature=1.0, seed=0, batch=queries
        ):
            pass

    def transformers() -> None:
        with torch.inference_mode():
            made.model.generate(input_ids=prompts.ids, attention_mask=prompts.mask.long(), generation_config=config)

    mine, theirs = interleaved(device, labkit, transformers)
    what = f"nucleus sampling, {queries:,} queries of {QUERY} tokens at once, top_p {TOP_P}"
    return Row(
        what,
        "transformers generate",
        "queries/s",
        queries / mine,
        queries / theirs,
        note=f"target {TARGET:,}/s on a GPU",
    )


def main() -> None:
    device = resolve("auto")
    start = time.perf_counter()
    if device.type == "cuda":
        row = sampling(device, SMOLLM2, torch.bfloat16, 2048)
    else:
        row = sampling(device, SMALL, torch.float32, 128)
    report("Sampling of queries", [row])
    print(f"({time.perf_counter() - start:.0f} s)")


if __name__ == "__main__":
    main()
