"""What a language model's adapter, or a retriever, of notebook 03 is for who gets it without this lab's store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.experiments.kept import adapter, shown
from labkit.experiments.queries.spec import DIRECT, LOGIT, PAIR, REAL, SYNTHETIC, UNTUNED, WARM, QueriesSpec
from labkit.runs.naming import RunKey
from labkit.runs.released import Released

LANGUAGE, RETRIEVER = "language-model", "retriever-"
WORDS = {
    REAL: "trained on the private pairs themselves, without privacy",
    UNTUNED: "trained on queries that the public language model wrote before any fine-tuning",
    SYNTHETIC: "trained on synthetic queries, which the privately fine-tuned language model wrote",
    DIRECT: "trained privately on the private pairs (DP-direct)",
    WARM: "trained privately on the private pairs (DP-direct), from the one of the untuned model's queries",
    LOGIT: "trained privately on the private pairs (Logit-DP)",
}
PUBLIC = (
    "all documents of the index",
    "the public language model with its vocabulary and token embeddings",
    "how many pairs, or documents with pairs, the training split has",
    "how many queries are written for a document",
)
STEPS = "the steps below, those of the language model whose queries trained it"
FIGURES = {"recall at 10": "recall", "nDCG at 10": "ndcg", "mean reciprocal rank at 10": "mrr"}
WRITTEN = {"BLEU of its queries": "bleu", "distinct words": "distinct_1", "distinct pairs of words": "distinct_2"}


def released(
    what: str, point: QueriesSpec, key: RunKey, results: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> Released:
    """What the adapter, or the retriever of one arm, is (see `Experiment.released`)."""
    from labkit.charts import queries_coverage
    from labkit.data.models import LICENCES

    language, arm = what == LANGUAGE, SYNTHETIC if what == LANGUAGE else what.removeprefix(RETRIEVER)
    result, base = results.get(arm, {}), shown(point.model)
    data = results.get(SYNTHETIC, {}).get("licence", "") or "that of its source"
    read = f"one {PAIR} of a query and its document"
    return Released(
        what=f"an adapter of {base} that writes queries for the documents of {shown(point.data)}"
        if language
        else f"a retriever for the documents of {shown(point.data)}, {WORDS[arm]}",
        arm=arm,
        usage=_usage(point, base, key, language),
        library="peft" if language else "pytorch",
        tags=("text-generation",) if language else ("sentence-similarity",),
        base=base,
        licences={"model": LICENCES.get(point.model, "see its source"), "data": data},
        adapter=_adapter(shapes, point, base) if language else {},
        figures=WRITTEN if language else FIGURES,
        tested_on=("test_queries", "queries"),
        unit=read if point.unit == PAIR else f"one document with at most {point.max_pairs} of its pairs",
        units=result.get("units"),
        public=PUBLIC,
        steps="the steps below" if language or arm != SYNTHETIC else STEPS,
        uncovered=tuple((line.what, line.why) for line in queries_coverage.not_covered()),
        reads_private=arm != UNTUNED,
        noise_source=point.noise_source,
    )


def _adapter(shapes: Mapping[str, tuple[int, ...]], point: QueriesSpec, base: str) -> dict[str, Any]:
    from labkit.text.lora import ALPHA

    return adapter(shapes, rank=point.lora_rank, alpha=ALPHA * point.lora_rank, base=base)


def _usage(point: QueriesSpec, base: str, key: RunKey, language: bool) -> str:
    from labkit.experiments.queries.lab import HEADS

    half = ", torch.bfloat16" if key.device_kind == "cuda" else ""  # as it was computed
    begin = ("import torch\n" if half else "") + "from labkit.data.models import find_model\n"
    load = f'language = load_language(find_model({base!r}), "cpu"{half})'
    if language:
        return f"""{begin}from labkit.text.language import encode_prompts, load_language
from peft import PeftModel

{load}
model = PeftModel.from_pretrained(language.model, ".").eval()
prompts, _ = encode_prompts(language, documents, {point.template!r}, {point.prompt_tokens})"""
    return f"""{begin}from labkit.retrieval.encoder import Encoder, encode
from labkit.text.language import encode_plain, load_language
from safetensors.torch import load_file

{load}
embeddings = language.model.get_input_embeddings().weight.detach().float()  # public, and so not in the file
encoder = Encoder(embeddings, {point.encoder_width}, {point.encoder_layers}, {HEADS}, seed=0)
encoder.load_state_dict(load_file("model.safetensors"))
vectors = encode(encoder, encode_plain(language, documents, {point.prompt_tokens})[0])
asked = encode(encoder, encode_plain(language, queries, {point.query_tokens})[0])
best = (asked @ vectors.T).topk(min(10, len(vectors))).indices"""
