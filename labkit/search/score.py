"""Scoring candidates before they are trained, a budget of any size at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from labkit.data import Split
from labkit.population import Params, chunk_size, evaluate, evaluation_bytes, training_bytes
from labkit.population.evaluate import default_batch
from labkit.search.learn import Recipe
from labkit.search.pace import advance
from labkit.search.space import Space


def fits(space: Space, parent: Params, batch_size: int, count: int) -> int:
    """How many sub-networks of this space, at most `count`, may train and be evaluated at once."""
    one = space.candidates(parent, [0])
    device = parent["0.weight"].device
    training = training_bytes(one.arch, batch_size, masked=one.masks is not None)
    return chunk_size(max(training, evaluation_bytes(one.arch, default_batch(device))), device, count=count)


def score(
    space: Space, parent: Params, which: Sequence[int], data: Split, recipe: Recipe, after: int, order_seed: int
) -> Generator[float, None, Tensor]:
    """Mean cross-entropy [M] of some candidates on the selection split; lower is better.

    Args:
        after: training steps before the score; 0 scores the initialisation. While candidates train, the
            network-steps a second are yielded after each slice.
    """
    some = space.candidates(parent, which)
    params = some.params
    if after:
        trainer = recipe.trainer(some, data, order_seed, steps=after)
        yield from advance(trainer, after)
        params = trainer.params
    return evaluate(some.arch, params, data.selection.x, data.selection.y).loss.cpu()


def best(scores: Tensor) -> int:
    """The number of the candidate with the lowest score; the first of equals."""
    return int(torch.argmin(scores))
