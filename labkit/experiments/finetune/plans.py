"""What a fine-tune may do with private examples, stage by stage, and what that costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from labkit.experiments.charged import is_word
from labkit.experiments.finetune.spec import FinetuneSpec
from labkit.experiments.frontier.spec import CLIPPED, PLAIN
from labkit.finetune.method import Method
from labkit.finetune.methods import METHODS
from labkit.privacy import Plan
from labkit.privacy.selection import selection_event

SELECTION_SHARE = 0.1  # of epsilon, spent on choosing among random sets of rows


def method_of(point: FinetuneSpec) -> Method:
    """The point's method."""
    return METHODS[point.method[0]]


@dataclass(frozen=True)
class Stages:
    """The steps of a plan: training, from 0, with the warm-up as its beginning; then those that score rows.

    Batches of paired methods are the same because scoring, which not all of them do, comes last in the plan's order,
    whenever it is run.

    Args:
        warm: steps of the warm-up.
        train: steps of the whole training.
        score: steps that score rows.
    """

    warm: int
    train: int
    score: int

    @property
    def steps(self) -> int:
        return self.train + self.score


def stages_of(point: FinetuneSpec, examples: int) -> Stages:
    """How many steps each stage has: an image is drawn once on average while rows are scored."""
    batches = examples / point.batch_size
    train = max(1, math.ceil(point.epochs * batches))
    score = max(1, math.ceil(batches)) if method_of(point).chooses else 0
    return Stages(math.ceil(point.warmup[0] * batches), train, score)


def plan_of(point: FinetuneSpec, examples: int) -> Plan:
    """The plan of a point: at most its epsilon, with all that its choice of rows costs."""
    method = method_of(point)
    searches = method.searches and not is_word(point.epsilon[0])
    choice = SELECTION_SHARE * point.epsilon[0] if searches else 0.0
    return _plan(*_priced(point, examples), stages_of(point, examples).steps, choice)


def plan_without_choice(point: FinetuneSpec, examples: int) -> Plan:
    """What the same training would be if its rows had come for free."""
    return _plan(*_priced(point, examples), stages_of(point, examples).train, 0.0)


def _priced(point: FinetuneSpec, examples: int) -> tuple:
    return point.epsilon[0], examples, point.batch_size, point.clip_norm, point.delta or None, point.noise_source


@cache
def _plan(
    epsilon: float | str,
    examples: int,
    batch: int,
    clip: float,
    delta: float | None,
    noise_source: str,
    steps: int,
    choice: float,
) -> Plan:
    common = {"examples": examples, "batch_size": batch, "steps": steps}
    if epsilon == PLAIN:
        return Plan.nonprivate("plain: neither clipping nor noise", **common)
    if epsilon == CLIPPED:
        return Plan.nonprivate("clipped: clipping without noise", clip_norm=clip, **common)
    also = (selection_event(choice),) if choice else ()
    return Plan.calibrated(epsilon=epsilon, clip_norm=clip, delta=delta, noise_source=noise_source, also=also, **common)
