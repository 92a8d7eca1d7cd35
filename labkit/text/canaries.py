"""Canaries: made-up queries planted in a run of their own, and how much of them the model betrays (1802.08232)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.errors import BadInput
from labkit.streams import stream
from labkit.text.language import Language, Tokens, encode_queries, query_log_probs

OPENING = "my code is"
SECRET = 3  # words of a code
LETTERS = re.compile("[a-z]{4,8}")
SPACE = ("Ġ", "▁")  # how byte-level and sentence-piece vocabularies write the space before a word
CHANCE = 1 / math.log(2)  # bits: mean exposure of what was never planted, among many alternatives


@dataclass(frozen=True)
class Canary:
    """A query that nobody asked.

    Args:
        document: row of the document that it is planted at.
        query: the opening and a code of three words.
        repeats: how often the pair is planted.
        words: what codes are made of: each is one token after a space, so that all codes have one length.
    """

    document: int
    query: str
    repeats: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class Exposed:
    """What a model betrays of one canary.

    Args:
        canary: which one.
        exposure: bits, from 0 (every alternative is at least as likely) to `cap`.
        cap: bits, log2 of the alternatives that were ranked with it, itself included.
        log_prob: of the canary's query given its document, summed over its tokens.
    """

    canary: Canary
    exposure: float
    cap: float
    log_prob: float


def code_words(language: Language) -> tuple[str, ...]:
    """Words that this tokenizer reads as one token each inside a code, from its public vocabulary, sorted.

    Words of four to eight small letters; three in a row after the opening are three tokens more than the opening.
    """
    spelled = language.tokenizer.convert_ids_to_tokens(list(range(len(language.tokenizer))))
    spaced = sorted({token[1:] for token in spelled if token[:1] in SPACE})
    likely = [word for word in spaced if LETTERS.fullmatch(word)]
    opening = _length(language, [OPENING])[0]
    codes = _length(language, [f"{OPENING} {word} {word} {word}" for word in likely])
    return tuple(word for word, tokens in zip(likely, codes, strict=True) if tokens == opening + SECRET)


def plant(language: Language, documents: int, repeats: Sequence[int], each: int, seed: int) -> list[Canary]:
    """Draw canaries: `each` for every number of repeats, all at different documents and with different codes.

    Nothing private is looked at.

    Args:
        documents: rows to plant at, 0 to documents - 1.
        repeats: how often a canary is planted, each number a group of its own.
        each: canaries a group; at least 20 for a chart worth reading.
        seed: of the run.

    Raises:
        BadInput: fewer documents than canaries, or a tokenizer that knows too few words.
    """
    count = len(repeats) * each
    if count > documents:
        raise BadInput("canaries", count, f"at most one a document: {documents:,}")
    if not repeats or min(repeats) < 1 or each < 1:
        raise BadInput("canaries", f"{each} of {tuple(repeats)}", "at least one of each, planted at least once")
    words = code_words(language)
    if len(words) ** SECRET < max(100 * count, 10_000):
        raise BadInput(
            "model", language.files.name, f"a tokenizer with more whole words: codes are made of {len(words)}"
        )
    generator = stream(seed, "canaries")
    rows = torch.randperm(documents, generator=generator)[:count].tolist()
    codes = _codes(words, count, generator, without=set())
    times = [number for number in repeats for _ in range(each)]
    return [Canary(row, code, number, words) for row, code, number in zip(rows, codes, times, strict=True)]


def alternatives(canary: Canary, count: int, seed: int) -> list[str]:
    """`count` different queries that the canary could have been, itself left out, drawn evenly.

    The same for a seed, whatever model is asked later.

    Raises:
        BadInput: there are not that many.
    """
    most = len(canary.words) ** SECRET - 1
    if not 1 <= count <= most:
        raise BadInput("alternatives", count, f"from 1 to {most:,}")
    return _codes(canary.words, count, stream(seed, "alternatives", canary.query), without={canary.query})


def exposure(log_prob: float, others: Tensor) -> float:
    """log2 |R| - log2 rank, in bits: R holds the canary and its alternatives, and the most likely ranks first.

    An alternative as likely as the canary counts as before it, so that ties never raise exposure; one whose
    log-probability is nan counts as before it too. With a canary never seen, every rank is equally likely, and the mean
    is close to 1.44 bits (1 / ln 2).

    Args:
        log_prob: of the canary.
        others: float [n], of the alternatives.

    Returns:
        from 0 to log2(n + 1).
    """
    rank = 1 + int((~(others.double() < log_prob)).sum())
    return math.log2(len(others) + 1) - math.log2(rank)


def exposures(
    language: Language, prompts: Tokens, canaries: Sequence[Canary], *, count: int, seed: int, batch: int
) -> Iterator[Exposed]:
    """The exposure of each canary, given the document at which it was planted.

    Args:
        prompts: of all documents, from `encode_prompts`, on any device.
        count: alternatives for each; the sampled cap is log2(count + 1).
        seed: of the alternatives.
        batch: queries read at once.
    """
    for canary in canaries:
        texts = [canary.query, *alternatives(canary, count, seed)]
        length = _length(language, texts[:1])[0] + 1  # a code's, and its end
        queries, _ = encode_queries(language, texts, length)
        there = prompts.mask[canary.document]
        ids = prompts.ids[canary.document][there][None].to(language.device)  # one prompt for all needs no padding
        prompt = Tokens(ids, torch.ones_like(ids, dtype=torch.bool))
        found = []
        with torch.inference_mode():
            for piece in torch.arange(len(texts)).split(batch):
                found.append(log_probs_of_one(language, prompt, queries.rows(piece).to(ids.device)).cpu())
        values = torch.cat(found)
        own = float(values[0])
        yield Exposed(canary, exposure(own, values[1:]), math.log2(count + 1), own)


def log_probs_of_one(language: Language, prompt: Tokens, queries: Tokens) -> Tensor:
    """`query_log_probs` of many queries of one length given the same prompt, which is read once.

    Args:
        prompt: one row without padding, on the model's device.
        queries: without padding, on the model's device.

    Returns:
        float32 [n].
    """
    many = len(queries)
    if language.seq2seq:
        return query_log_probs(language, prompt.rows(torch.zeros_like(queries.ids[:, 0])), queries)
    read = language.model(input_ids=prompt.ids, use_cache=True, logits_to_keep=1)
    read.past_key_values.batch_repeat_interleave(many)
    places = torch.arange(prompt.ids.shape[1], prompt.ids.shape[1] + queries.ids.shape[1] - 1, device=language.device)
    later = language.model(
        input_ids=queries.ids[:, :-1],
        position_ids=places.expand(many, -1),
        past_key_values=read.past_key_values,
        use_cache=True,
    ).logits
    logits = torch.cat([read.logits.expand(many, -1, -1), later], 1).float()
    lost = F.cross_entropy(logits.flatten(0, 1), queries.ids.flatten(), reduction="none")
    return -lost.view_as(queries.ids).sum(1)


def _codes(words: tuple[str, ...], count: int, generator: torch.Generator, without: set[str]) -> list[str]:
    kept: dict[str, None] = {}
    while len(kept) < count:
        drawn = torch.randint(len(words), (count - len(kept), SECRET), generator=generator)
        for row in drawn.tolist():
            query = " ".join([OPENING, *(words[place] for place in row)])
            if query not in without:
                kept.setdefault(query)
    return list(kept)


def _length(language: Language, texts: Sequence[str]) -> list[int]:
    tokens, _ = encode_queries(language, texts, 64)
    return (tokens.mask.sum(1) - 1).tolist()
