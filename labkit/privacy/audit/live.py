"""Both audits of one plan, a sign of life at a time: lower bounds for the axis of the accountant's upper bounds."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from labkit.privacy.audit.canaries import RATIO, plant, shadow_scores
from labkit.privacy.audit.game import CONFIDENCE, judge, playing, told
from labkit.privacy.audit.laws import IMAGINED, expected_counts, imagined_scores
from labkit.privacy.audit.one_run import best_guesses, one_run_lower, right_guesses
from labkit.privacy.plan import Plan
from labkit.streams import stream

CANARIES = 1000  # of the one run


def audit(
    plan: Plan,
    x: Tensor,
    y: Tensor,
    runs: int,
    seed: int,
    device: torch.device | str = "cpu",
    *,
    canaries: int = CANARIES,
    confidence: float = CONFIDENCE,
) -> Generator[tuple[int, int], None, dict[str, float | int | bool]]:
    """Lower bounds on the epsilon of a plan, from shadow models trained by the same trainer.

    They are valid at the stated confidence, one by one: a bound above the plan's epsilon says that the trainer does not
    keep what the accountant promises. One below it says nothing against the trainer: at 99.9 % the one run can be
    expected to reach 5 to 30 % with 1,000 canaries, the game 20 % (epsilon 0.9) to 80 % (epsilon 9) with 4,000 runs a
    world. Only the plan's training is audited, not what else is charged to it (`also`).

    Args:
        plan: a private plan, whose sample rate, steps, clip norm and noise the shadow models use.
        x, y: the training part, [n, ...] and labels [n], tensors or arrays; not changed.
        runs: shadow models with the canary, and as many without.
        seed: names the streams of rows, coins, draws and noise.
        canaries: of the one run; 0 leaves it out.

    Yields:
        model steps done and to do.

    Returns:
        Plain numbers. `epsilon` (claimed) and `delta`; `lower`, by the plan's own trade-off curve, and `refuted`,
        whether the claim itself is by it; `supposing_nothing`, the game's bound for any mechanism; `one_run` where
        there are canaries; beside each bound `..._expected`, what a correct trainer can be expected to show;
        `confidence`, `runs`, `canaries`. The models are trained on the given examples, but the numbers come from
        weights that only canaries and noise can touch.

    Raises:
        BadInput: a plan without noise, fewer than one run, or too few examples for the plan's sample rate.
    """
    x, y = torch.as_tensor(x).to(device), torch.as_tensor(y).to(device)
    first = plan.steps if canaries else 0
    total = first + 2 * runs * plan.steps
    found: dict[str, float | int] = {}
    if canaries:
        found = yield from _one_run(plan, x, y, canaries, seed, confidence, total)
    likely = judge(expected_counts(plant(plan, x, y, 1, seed), runs), plan, confidence)
    scores = yield from told(playing(plan, x, y, runs, seed), lambda done: (first + done[0], total))
    judged = judge(scores.counts(), plan, confidence)
    return found | {
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "refuted": judged.refuted,
        "lower": judged.epsilon,
        "lower_expected": likely.epsilon,
        "supposing_nothing": judged.supposing_nothing,
        "supposing_nothing_expected": likely.supposing_nothing,
        "confidence": confidence,
        "runs": runs,
    }


def _one_run(
    plan: Plan, x: Tensor, y: Tensor, canaries: int, seed: int, confidence: float, total: int
) -> Generator[tuple[int, int], None, dict[str, float | int]]:
    planted = plant(plan, x, y, canaries, seed)
    coins = torch.rand(canaries, generator=stream(seed, "audit", "coins")).numpy() < 0.5
    training = shadow_scores(planted, coins, 1, seed=seed, world="one run")
    scores: np.ndarray = (yield from told(training, lambda done: (done, total)))[RATIO, 0]
    likely = (world[RATIO] for world in imagined_scores(planted, IMAGINED))
    side, expected = best_guesses(canaries, *likely, plan.delta, confidence)
    right = right_guesses(scores, coins, side, side)
    found = one_run_lower(right, 2 * side, canaries, plan.delta, confidence)
    return {"one_run": found, "one_run_expected": expected, "canaries": canaries}
