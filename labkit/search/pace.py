"""Training in slices short enough that a hand can stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from labkit.population import Trainer

SLICE = 0.1  # seconds of work between two chances to stop


def advance(trainer: Trainer, until: int, clock: Callable[[], float] = time.perf_counter) -> Iterator[float]:
    """Train up to step `until`; after each slice yields the network-steps a second that it ran at.

    The length of a slice follows the clock, the numbers do not.
    """
    steps = 1
    while trainer.done < min(until, trainer.steps):
        start, before = clock(), trainer.done
        trainer.advance(min(steps, until - trainer.done))
        if trainer.x.device.type == "cuda":
            torch.cuda.synchronize(trainer.x.device)
        seconds = max(clock() - start, 1e-9)
        ran = trainer.done - before
        yield ran * trainer.count / seconds
        steps = max(1, min(2 * steps, int(ran * SLICE / seconds)))
