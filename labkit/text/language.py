"""A pre-trained language model and its tokenizer, and how documents and queries become tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.data.models import no_bar
from labkit.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from labkit.data.models import ModelFiles

DOCUMENT = "{document}"
DEFAULT_TEMPLATE = "{document}\nSearch query:"


@dataclass(frozen=True)
class Language:
    """A language model that writes queries.

    Args:
        model: in eval mode, on its device.
        tokenizer: with a token that ends a text and one that pads.
        seq2seq: an encoder reads the prompt and a decoder writes the query, as T5 does; else one stack does both.
        files: where it came from.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    seq2seq: bool
    files: ModelFiles

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int | None:
        """The most tokens that prompt and query may have together; None where the model has no bound."""
        return getattr(self.model.config, "max_position_embeddings", None)


@dataclass(frozen=True)
class Tokens:
    """Texts of one padded length.

    Args:
        ids: int64 [n, T].
        mask: bool [n, T], False where padded.
    """

    ids: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, index: Tensor) -> Tokens:
        """Some of the texts, in the order of `index` (int64 [b], on the same device)."""
        return Tokens(self.ids[index], self.mask[index])

    def to(self, device: torch.device | str) -> Tokens:
        """The same texts on another device."""
        return Tokens(self.ids.to(device), self.mask.to(device))


def load_language(files: ModelFiles, device: torch.device | str, dtype: torch.dtype = torch.float32) -> Language:
    """Read a model and its tokenizer from their folder; nothing is downloaded and no code of the folder is run. On the
    device `meta` the model has shapes and no weights, which are not read.

    Raises:
        BadInput: the folder has no tokenizer, or a tokenizer without a token that pads or that ends a text.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    from labkit.data.models import TOKENIZERS

    kept = {"local_files_only": True, "trust_remote_code": False}
    if not any((files.folder / name).is_file() for name in TOKENIZERS):
        raise BadInput("model", files.name, f"a model with a tokenizer; {files.folder} has no {TOKENIZERS[0]}")
    tokenizer = AutoTokenizer.from_pretrained(files.folder, **kept)
    for token, use in (("pad_token", "pads"), ("eos_token", "ends a text")):
        if getattr(tokenizer, token) is None:
            where = f"name {token} in {files.folder}/tokenizer_config.json"
            raise BadInput("model", files.name, f"a model whose tokenizer has a token that {use}; {where}")
    config = AutoConfig.from_pretrained(files.folder, **kept)
    kind = AutoModelForSeq2SeqLM if (seq2seq := bool(config.is_encoder_decoder)) else AutoModelForCausalLM
    if str(device) == "meta":
        with torch.device("meta"):
            return Language(kind.from_config(config).eval(), tokenizer, seq2seq, files)
    with no_bar():
        model = kind.from_pretrained(files.folder, dtype=dtype, use_safetensors=True, **kept)
    return Language(model.to(device).eval(), tokenizer, seq2seq, files)


def encode_prompts(language: Language, documents: Sequence[str], template: str, length: int) -> tuple[Tokens, int]:
    """Put each document into the template, padded on the left.

    Only the document is truncated, at its end, never the words around it.

    Args:
        template: contains `{document}` once.
        length: tokens of each prompt, with the template's.

    Returns:
        the prompts [n, length] on the CPU, and how many documents were truncated.

    Raises:
        BadInput: the template has no place for the document, or leaves no room for it in `length` tokens, or the model
            cannot read that many.
    """
    if template.count(DOCUMENT) != 1:
        raise BadInput("template", template, f"a text with {DOCUMENT} in it, once")
    if language.context is not None and length > language.context:
        raise BadInput("prompt_tokens", length, f"at most {language.context}, the context of {language.files.name}")
    first, last = _frame(language)
    before, after = (_ids(language, [part])[0] for part in template.split(DOCUMENT))
    before, after = first + before, after + last
    room = length - len(before) - len(after)
    if room < 1:
        raise BadInput("prompt_tokens", length, f"more than the template's own {len(before) + len(after)} tokens")
    texts = _ids(language, documents)
    whole = [before + ids[:room] + after for ids in texts]
    return _padded(language, whole, length, left=True), sum(len(ids) > room for ids in texts)


def encode_queries(language: Language, queries: Sequence[str], length: int) -> tuple[Tokens, int]:
    """Queries as a model continues a prompt with them: each ends with the end token, padded on the right.

    A decoder-only model reads a space before the first word, as after any other word, where its tokenizer knows the
    difference.

    Args:
        length: tokens of each query, with the end token, which is kept when the query is truncated.

    Returns:
        the queries [n, length] on the CPU, and how many were truncated.
    """
    if length < 2:
        raise BadInput("query_tokens", length, "at least 2: a token and the end")
    space = "" if language.seq2seq or len(_ids(language, [" a"])[0]) > len(_ids(language, ["a"])[0]) else " "
    texts = _ids(language, [space + query.strip() for query in queries])
    whole = [[*ids[: length - 1], language.tokenizer.eos_token_id] for ids in texts]
    return _padded(language, whole, length, left=False), sum(len(ids) >= length for ids in texts)


def encode_plain(language: Language, texts: Sequence[str], length: int) -> tuple[Tokens, int]:
    """Texts as a retriever reads them: no special tokens, padded on the right.

    Returns:
        the texts [n, length] on the CPU, and how many were truncated.
    """
    whole = _ids(language, [" " + text.strip() for text in texts])
    cut = [ids[:length] for ids in whole]
    return _padded(language, cut, length, left=False), sum(len(ids) > length for ids in whole)


def positions(mask: Tensor) -> Tensor:
    """The place of each token among its text's own, int64 [n, T]: padding on the left moves nothing."""
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def query_logits(language: Language, prompts: Tokens, queries: Tokens) -> Tensor:
    """What the model expects at each place of each query, given its prompt and the query's tokens before it.

    Logits are computed at these places only. Gradients flow where the caller lets them.

    Returns:
        logits [n, Q, vocabulary] in the model's dtype.
    """
    if language.seq2seq:
        start = torch.full_like(queries.ids[:, :1], language.model.config.decoder_start_token_id)
        return language.model(
            input_ids=prompts.ids,
            attention_mask=prompts.mask.long(),
            decoder_input_ids=torch.cat([start, queries.ids[:, :-1]], 1),
            use_cache=False,
        ).logits
    mask = torch.cat([prompts.mask, queries.mask], 1)
    kept = queries.ids.shape[1]
    return language.model(
        input_ids=torch.cat([prompts.ids, queries.ids], 1),
        attention_mask=mask.long(),
        position_ids=positions(mask),
        logits_to_keep=kept + 1,  # the prompt's last token foretells the query's first
        use_cache=False,
    ).logits[:, :kept]


def query_log_probs(language: Language, prompts: Tokens, queries: Tokens) -> Tensor:
    """Log-probability of each query given its prompt: summed over the query's own tokens, its end included.

    Gradients flow: call it under `torch.no_grad()` to measure. The mean per token is this / `queries.mask.sum(1)`.

    Args:
        prompts, queries: row by row, on the model's device.

    Returns:
        float32 [n].
    """
    logits = query_logits(language, prompts, queries).float()
    at = F.cross_entropy(logits.flatten(0, 1), queries.ids.flatten(), reduction="none").view_as(queries.ids)
    return -at.masked_fill(~queries.mask, 0.0).sum(1)


def _ids(language: Language, texts: Sequence[str]) -> list[list[int]]:
    # A document that spells out a special token must stay text: it cannot end the prompt or pad it.
    return language.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]


def _frame(language: Language) -> tuple[list[int], list[int]]:
    # What the tokenizer itself puts around a text: [begin] for some decoder-only models, [end] for T5's encoder.
    special = language.tokenizer("")["input_ids"]
    if language.seq2seq:
        end = language.tokenizer.eos_token_id
        return [i for i in special if i != end], [i for i in special if i == end]
    return [i for i in special if i == language.tokenizer.bos_token_id], []


def _padded(language: Language, rows: list[list[int]], length: int, left: bool) -> Tokens:
    ids = torch.full((len(rows), length), language.tokenizer.pad_token_id)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for row, tokens in enumerate(rows):
        place = slice(length - len(tokens), length) if left else slice(len(tokens))
        ids[row, place] = torch.tensor(tokens, dtype=torch.int64)
        mask[row, place] = True
    return Tokens(ids, mask)
