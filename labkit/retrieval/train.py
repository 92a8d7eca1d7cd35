"""Training an encoder without privacy, on pairs that anybody may see: the in-batch softmax."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.errors import BadInput
from labkit.retrieval.encoder import Encoder, Tokens, lengths_of
from labkit.streams import stream

WARM_UP = 0.1  # share of the steps in which the rate rises
WEIGHT_DECAY = 0.01


def train(
    encoder: Encoder,
    queries: Tokens,
    documents: Tokens,
    rows: np.ndarray | Tensor,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    temperature: float,
    seed: int,
) -> Iterator[tuple[int, Tensor]]:
    """Train `encoder` in place, a step at a time.

    A query shall find its document among those of its batch: softmax over cosine / temperature. Another pair of the
    same document is left out of the query's softmax, or it would push the right document away. AdamW, with a rate that
    rises over the first tenth and falls to 0 along a cosine. bfloat16 products on CUDA: nothing here is private.

    Args:
        queries: n queries; documents: the whole index; rows: int64 [n], each query's document.
        seed: of the batches' order; each epoch is a permutation, and a batch may reach into the next one.

    Yields:
        (steps done, the batch's mean loss as a number on the encoder's device: reading it makes a GPU wait).

    Raises:
        BadInput: fewer pairs than the batch, or a rate, temperature or number of steps that cannot be.
    """
    check_rates(learning_rate, temperature)
    if not 2 <= batch_size <= len(rows):
        raise BadInput("batch_size", batch_size, f"2 to {len(rows)}, the training pairs")
    if steps < 1:
        raise BadInput("steps", steps, "at least 1")
    batches = order(len(rows), steps, batch_size, seed)
    return _steps(encoder, queries, documents, torch.as_tensor(rows).cpu(), batches, learning_rate, temperature)


def _steps(
    encoder: Encoder,
    queries: Tokens,
    documents: Tokens,
    rows: Tensor,
    batches: Tensor,
    learning_rate: float,
    temperature: float,
) -> Iterator[tuple[int, Tensor]]:
    device = encoder.vectors.device
    q_ids, q_mask, d_ids, d_mask = (t.to(device) for t in (queries.ids, queries.mask, documents.ids, documents.mask))
    q_lengths, d_lengths = lengths_of(queries.mask), lengths_of(documents.mask)
    weights = list(encoder.parameters())
    fused = device.type == "cuda"
    optimiser = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=WEIGHT_DECAY, fused=fused)
    for step, pairs in enumerate(batches):
        optimiser.param_groups[0]["lr"] = learning_rate * rate_at(step, len(batches))
        named = rows[pairs]
        q_end, d_end = int(q_lengths[pairs].max()), int(d_lengths[named].max())
        pairs, named = pairs.to(device), named.to(device)
        with torch.autocast("cuda", torch.bfloat16, enabled=fused):
            query = encoder(q_ids[pairs, :q_end], q_mask[pairs, :q_end])
            document = encoder(d_ids[named, :d_end], d_mask[named, :d_end])
        loss = in_batch_loss(query, document, named, temperature)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield step + 1, loss.detach()


def in_batch_loss(query: Tensor, document: Tensor, named: Tensor, temperature: float) -> Tensor:
    """Mean over the batch of -log softmax of the own document's cosine / temperature.

    Args:
        query, document: unit vectors [b, width], float32; the i-th document is the i-th query's.
        named: int64 [b], the documents' row numbers: equal ones are the same document.
    """
    logits = query @ document.T / temperature
    same = named.unsqueeze(0) == named.unsqueeze(1)
    same.fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(same, -math.inf), torch.arange(len(named), device=named.device))


def order(pairs: int, steps: int, batch_size: int, seed: int) -> Tensor:
    """Which pairs each step takes, int64 [steps, batch_size]: one permutation after the other."""
    epochs = -(-steps * batch_size // pairs)
    whole = torch.cat([torch.randperm(pairs, generator=stream(seed, "batches", epoch)) for epoch in range(epochs)])
    return whole[: steps * batch_size].view(steps, batch_size)


def rate_at(step: int, steps: int) -> float:
    """The factor of the learning rate in the step after `step` ones: up to 1 in a line, then down along a cosine."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))


def check_rates(learning_rate: float, temperature: float) -> None:
    """What every training of an encoder needs.

    Raises:
        BadInput: a learning rate or a temperature that is not above 0.
    """
    for name, value in (("learning_rate", learning_rate), ("temperature", temperature)):
        if not 0 < value < math.inf:
            raise BadInput(name, value, "a number above 0")
