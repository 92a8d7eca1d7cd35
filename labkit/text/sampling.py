"""Writing queries: nucleus sampling, many documents at a time (1904.09751).

Only the model and public documents go in, so what comes out of a private model is post-processing of it and costs
nothing more (privacy is lost as soon as anything here looks at a private query).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.streams import stream_seed
from labkit.text.language import Language, Tokens, positions

GLANCE = 4  # tokens between two looks at whether all queries have ended: each look waits for the device


@dataclass(frozen=True)
class Sampled:
    """Some of the queries asked for.

    Args:
        rows: the prompts' rows, one for each query.
        ids: int64 [b, length] on the CPU; the end token where a query ended, and padding after it.
        done: queries written so far, these included.
    """

    rows: tuple[int, ...]
    ids: Tensor
    done: int


def sample(
    language: Language,
    prompts: Tokens,
    rows: Sequence[int],
    *,
    length: int,
    top_p: float,
    temperature: float,
    seed: int,
    batch: int,
    skip: int = 0,
) -> Iterator[Sampled]:
    """Write one query for each of `rows`, in their order; a row named twice gets two queries.

    Each piece of `batch` queries draws from a stream of its own, so that a run that was cut off goes on after `skip`
    pieces with the same queries.

    Args:
        prompts: from `encode_prompts`, on any device.
        length: most tokens of a query, its end included.
        top_p: the smallest set of tokens with at least this probability is drawn from, in (0, 1].
        temperature: logits are divided by it; above 0.
        seed: of the run.
        batch: queries written at once.
        skip: pieces that are done already.

    Yields:
        each piece when it is done.

    Raises:
        BadInput: a setting outside its range.
        IndexError: a row that is no prompt's.
    """
    _check(language, prompts, length, top_p, temperature, batch)
    order = torch.as_tensor(rows, dtype=torch.int64).reshape(-1)
    if len(order) and not 0 <= int(order.min()) <= int(order.max()) < len(prompts):
        raise IndexError(f"rows of {len(prompts)} prompts, not {int(order.min())} to {int(order.max())}")
    pieces = list(order.split(batch)) if len(order) else []
    return _pieces(language, prompts, pieces, skip, length, top_p, temperature, seed)


def _pieces(
    language: Language,
    prompts: Tokens,
    pieces: list[Tensor],
    skip: int,
    length: int,
    top_p: float,
    temperature: float,
    seed: int,
) -> Iterator[Sampled]:
    done = sum(map(len, pieces[:skip]))
    for number, piece in enumerate(pieces[skip:], skip):
        generator = torch.Generator(language.device).manual_seed(stream_seed(seed, "sampling", number))
        asked = prompts.rows(piece.to(prompts.ids.device)).to(language.device)
        with torch.inference_mode():
            ids = _write(language, asked, length, top_p, temperature, generator).cpu()
        done += len(piece)
        yield Sampled(tuple(piece.tolist()), ids.clone(), done)


def draw(logits: Tensor, generator: torch.Generator, *, top_p: float, temperature: float) -> Tensor:
    """One token a row, from its nucleus: the most likely tokens, until their probabilities sum to at least `top_p`.

    The law of transformers' temperature and top-p warpers, without their sort of the vocabulary: a token is drawn from
    all, and kept if what is likelier than it sums to less than `top_p`; if not, the row draws again from what is
    likelier, which holds the nucleus. Equally likely tokens are in the nucleus together.

    Args:
        logits: [b, V] of any float dtype; sums are in float32.
        generator: on the device of the logits.
        top_p: in (0, 1]; 1 draws from all tokens.
        temperature: above 0.

    Returns:
        int64 [b].
    """
    likely = (logits.float() / temperature).softmax(1)
    rows = torch.arange(len(likely), device=likely.device)
    token = torch.empty_like(rows)
    while len(rows):
        sums = likely.cumsum(1)
        mark = torch.rand(len(rows), 1, generator=generator, device=likely.device) * sums[:, -1:]
        pick = torch.searchsorted(sums, mark, right=True).clamp(max=likely.shape[1] - 1)
        token[rows] = pick[:, 0]
        chance = likely.gather(1, pick)
        likelier = likely.where(likely > chance, 0.0)
        refused = (likelier.sum(1) >= top_p) | (chance[:, 0] == 0)  # 0: a mark rounded up to the end
        rows, likely = rows[refused], likelier[refused]
    return token


def decode(language: Language, ids: Tensor) -> list[str]:
    """Sampled tokens as text, each on one line: up to its end, white space collapsed.

    Args:
        ids: int64 [n, length], from `sample`.
    """
    end = language.tokenizer.eos_token_id
    cut = [row[: row.index(end)] if end in row else row for row in ids.tolist()]
    return [" ".join(text.split()) for text in language.tokenizer.batch_decode(cut, skip_special_tokens=True)]


def _write(
    language: Language, prompts: Tokens, length: int, top_p: float, temperature: float, generator: torch.Generator
) -> Tensor:
    end, pad = language.tokenizer.eos_token_id, language.tokenizer.pad_token_id
    step = _encoder_decoder(language, prompts) if language.seq2seq else _decoder(language, prompts, length)
    written = torch.full((len(prompts), length), pad, device=language.device)
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=language.device)
    token = None
    for place in range(length):
        drawn = draw(step(token, place), generator, top_p=top_p, temperature=temperature)
        token = drawn.masked_fill(ended, pad)
        written[:, place] = token
        ended |= token == end
        if place % GLANCE == GLANCE - 1 and bool(ended.all()):
            break
    return written


def _decoder(language: Language, prompts: Tokens, length: int) -> Callable[[Tensor | None, int], Tensor]:
    whole = torch.cat([prompts.mask, prompts.mask.new_ones(len(prompts), length)], 1)
    places, mask, read = positions(whole), whole.long(), prompts.ids.shape[1]
    cache = None

    def step(token: Tensor | None, place: int) -> Tensor:
        nonlocal cache
        past = slice(read) if token is None else slice(read + place - 1, read + place)
        out = language.model(
            input_ids=prompts.ids if token is None else token[:, None],
            attention_mask=mask[:, : past.stop],
            position_ids=places[:, past],
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        return out.logits[:, -1]

    return step


def _encoder_decoder(language: Language, prompts: Tokens) -> Callable[[Tensor | None, int], Tensor]:
    mask = prompts.mask.long()
    read = language.model.get_encoder()(input_ids=prompts.ids, attention_mask=mask)
    start = torch.full((len(prompts),), language.model.config.decoder_start_token_id, device=language.device)
    cache = None

    def step(token: Tensor | None, place: int) -> Tensor:
        nonlocal cache
        out = language.model(
            encoder_outputs=read,
            attention_mask=mask,
            decoder_input_ids=(start if token is None else token)[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        cache = out.past_key_values
        return out.logits[:, -1]

    return step


def _check(language: Language, prompts: Tokens, length: int, top_p: float, temperature: float, batch: int) -> None:
    if not 0 < top_p <= 1:
        raise BadInput("top_p", top_p, "above 0 and at most 1")
    if not temperature > 0:
        raise BadInput("temperature", temperature, "above 0")
    if batch < 1:
        raise BadInput("batch", batch, "at least 1")
    room = math.inf if language.seq2seq or language.context is None else language.context - prompts.ids.shape[1]
    if not 1 <= length <= room:
        raise BadInput("query_tokens", length, f"from 1 to {room}, what the model reads after a prompt")
