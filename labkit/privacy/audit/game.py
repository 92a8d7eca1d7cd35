"""A distinguishing game with thousands of shadow models: was the canary there?"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.errors import BadInput
from labkit.privacy.audit.bounds import Counts, epsilon_lower
from labkit.privacy.audit.canaries import plant, shadow_scores
from labkit.privacy.audit.family import claim_refuted, family_lower
from labkit.privacy.audit.laws import thresholds
from labkit.privacy.plan import Plan
from labkit.privacy.train import PrivateTrainer

CONFIDENCE = 0.999  # a correct mechanism is accused in 1 of 1,000 audits
TOGETHER = {"cpu": 500, "cuda": 4096}  # models in one population


@dataclass(frozen=True)
class Scores:
    """What a game measured.

    Args:
        included, removed: both scores of the runs with and without the canary, [2, runs] each.
        thresholds: pairs of a score and its threshold, fixed by the plan alone before any run.
    """

    included: np.ndarray
    removed: np.ndarray
    thresholds: tuple[tuple[int, float], ...]

    def counts(self) -> tuple[Counts, ...]:
        """The guesses "with" at each threshold."""

        def above(scores: np.ndarray, score: int, threshold: float) -> tuple[int, int]:
            return int((scores[score] > threshold).sum()), scores.shape[1]

        return tuple(Counts(*above(self.included, *t), *above(self.removed, *t)) for t in self.thresholds)


@dataclass(frozen=True)
class Judged:
    """What a game says about a plan.

    Args:
        refuted: whether the plan's own claim is, by its trade-off curve; of a correct mechanism once in
            1 / (1 - confidence) audits at most. `epsilon` then is at least what the plan's noise costs.
        epsilon: the largest that is refuted for DP-SGD at the plan's sample rate and steps.
        supposing_nothing: the largest that is refuted for any mechanism; at most half of what could be seen.
        confidence: of both together with all thresholds.
    """

    refuted: bool
    epsilon: float
    supposing_nothing: float
    confidence: float


def playing(
    plan: Plan,
    x: Tensor,
    y: Tensor,
    runs: int,
    seed: int,
    *,
    trainer: Callable[..., PrivateTrainer] = PrivateTrainer,
) -> Generator[tuple[int, int], None, Scores]:
    """Train `runs` shadow models with the canary and as many without, each with draws and noise of its own.

    Args:
        plan: what is audited. Its epsilon is not used.
        x, y: training examples, on the device to train on; see `plant`.
        trainer: makes the trainer; an audit of a planted bug puts another one here.

    Yields:
        model steps done and to do.

    Raises:
        BadInput: fewer than one run, or what `plant` refuses.
    """
    if runs < 1:
        raise BadInput("runs", runs, "at least 1 in each world")
    planted = plant(plan, x, y, 1, seed)
    scores: dict[bool, list[np.ndarray]] = {True: [], False: []}
    done, together = 0, TOGETHER[x.device.type]

    def words(before: int, models: int) -> Callable[[int], tuple[int, int]]:
        return lambda steps: (before + models * steps, 2 * runs * plan.steps)

    for first in range(0, runs, together):
        models = min(together, runs - first)
        for there, found in scores.items():
            training = shadow_scores(planted, [there], models, seed=seed, world=f"{there}/{first}", trainer=trainer)
            found.append((yield from told(training, words(done, models)))[:, :, 0])
            done += models * plan.steps
    return Scores(np.concatenate(scores[True], 1), np.concatenate(scores[False], 1), thresholds(planted))


def play(
    plan: Plan,
    x: Tensor,
    y: Tensor,
    runs: int,
    seed: int,
    *,
    trainer: Callable[..., PrivateTrainer] = PrivateTrainer,
) -> Scores:
    """`playing` to its end."""
    return finish(playing(plan, x, y, runs, seed, trainer=trainer))


def judge(counts: Sequence[Counts], plan: Plan, confidence: float = CONFIDENCE) -> Judged:
    """Lower bounds from a game's counts; each threshold takes its share of the error."""
    each = 1 - (1 - confidence) / len(counts)
    held = {"sample_rate": plan.sample_rate, "steps": plan.steps, "noise_multiplier": plan.noise_multiplier}
    return Judged(
        refuted=any(claim_refuted(c, **held, confidence=each) for c in counts),
        epsilon=max(family_lower(c, **held, delta=plan.delta, confidence=each) for c in counts),
        supposing_nothing=max(epsilon_lower(c, plan.delta, each) for c in counts),
        confidence=confidence,
    )


def finish(steps: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end, for what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def told(steps: Generator[Any, None, Any], words: Callable[[Any], object]) -> Generator[Any, None, Any]:
    """The same generator with other words for each sign of life."""
    while True:
        try:
            said = next(steps)
        except StopIteration as end:
            return end.value
        yield words(said)
