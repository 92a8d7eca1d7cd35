"""What a plan can be, told before anything trains."""

from __future__ import annotations

import math
from numbers import Integral, Real

from labkit.errors import BadInput
from labkit.privacy.noise import SOURCES

WORDS = "for training without noise use the words clipped and plain"


def check_training(examples: int, batch_size: int, steps: int, clip_norm: float, noise_source: str) -> None:
    """The part of a plan that every training has.

    Raises:
        BadInput: one of the fields cannot be.
    """
    if not isinstance(examples, Integral) or examples < 1:
        raise BadInput("examples", examples, "a whole number of at least 1")
    if not isinstance(batch_size, Integral) or not 1 <= batch_size <= examples:
        raise BadInput("batch_size", batch_size, f"1 to {examples}, the training examples: a sample rate of at most 1")
    if not isinstance(steps, Integral) or steps < 1:
        raise BadInput("steps", steps, "a whole number of at least 1")
    if not is_number(clip_norm) or not clip_norm > 0:
        raise BadInput("clip_norm", clip_norm, "a number above 0")
    if noise_source not in SOURCES:
        raise BadInput("noise_source", noise_source, " or ".join(SOURCES))


def check_guarantee(examples: int, clip_norm: float, delta: float | None, epsilon: float | None) -> None:
    """The part of a plan that promises something.

    Raises:
        BadInput: one of the fields cannot be.
    """
    if not is_number(epsilon) or not 0 < epsilon < math.inf:
        raise BadInput("epsilon", epsilon, f"a finite number above 0; {WORDS}")
    if not is_number(delta) or not 0 < delta < 1 / examples:
        raise BadInput("delta", delta, f"above 0 and below 1 / {examples}, one over the training examples")
    if not clip_norm < math.inf:
        raise BadInput("clip_norm", clip_norm, "a finite number above 0: noise is scaled to it")


def is_number(value: object) -> bool:
    """Whether it is a real number, NaN and infinity included."""
    return isinstance(value, Real) and not isinstance(value, bool)
