"""Canaries: planted examples that leave a trace which nothing but noise can touch.

Each has one pixel of its own, dark in every other example, in front of a linear model. The weights of that pixel move
by the canary's clipped gradient in the steps that drew it, and by noise in every step: the accountant's worst case, on
the trainer that trains everything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population import MLP
from labkit.privacy.noise import SEEDED, draw_key, noise_key
from labkit.privacy.plan import Plan
from labkit.privacy.train import PrivateTrainer
from labkit.streams import stream

FEATURES = 16  # of the given data; more would only cost time
OTHERS = 64  # real examples beside the canaries, at least
NORM = 10.0  # a canary's gradient in clip norms, at least
LIT = 14.0  # the least value of a canary's pixel: the bias then takes 1 part in 200 of its squared gradient
SLICE = 20  # steps between two signs of life

RATIO, MOVEMENT = range(2)  # the scores


@dataclass(frozen=True)
class Planted:
    """A small training set with canaries, and the plan under which it costs what the audited plan costs.

    Args:
        plan: sample rate, steps, clip norm and noise of the audited plan, for `len(y)` examples.
        x: float32 [n, features + canaries]; the last rows are the canaries.
        y: [n].
        directions: unit gradients of the canaries' own weights, [classes, canaries].
        share: of a canary's clipped gradient in its own weights, in clip norms; a little below 1.
        learning_rate: so small that a canary's gradient stays above the clip norm to the end.
    """

    plan: Plan
    x: Tensor
    y: Tensor
    directions: Tensor
    share: float
    learning_rate: float

    @property
    def canaries(self) -> int:
        """How many there are."""
        return self.directions.shape[1]

    def only(self, included: Sequence[bool] | np.ndarray) -> Tensor:
        """The examples [n, ...] without the canaries that are not `included`.

        A row of a removed canary holds NaN, which clipping counts as zero: the sum is exactly the one without it, while
        the public number of examples, the sample rate and the expected batch stay.
        """
        x = self.x.clone()
        gone = torch.as_tensor(~np.asarray(included, dtype=bool), device=x.device)
        x[len(x) - self.canaries :][gone] = torch.nan
        return x


def plant(plan: Plan, x: Tensor, y: Tensor, canaries: int, seed: int) -> Planted:
    """Canaries among some of the given examples, on their device.

    Args:
        plan: of the training that is audited.
        x, y: training examples [n, ...] and labels [n]; some rows and some features of them are used. Row, feature and
            class counts do not matter to the bound, so that a small set makes thousands of runs cheap.
        canaries: at least 1.
        seed: of the choice of rows.

    Raises:
        BadInput: the plan is not private, or there are too few examples for its sample rate and the canaries.
    """
    if not plan.private:
        raise BadInput("plan", "not private", "a plan with noise: without it no epsilon is claimed")
    if canaries < 1:
        raise BadInput("canaries", canaries, "at least 1")
    small = _small(plan, canaries + OTHERS)
    others = small.examples - canaries
    if len(y) < others:
        raise BadInput("examples", len(y), f"at least {others}, so that the audit keeps the plan's sample rate")
    chosen = torch.randperm(len(y), generator=stream(seed, "audit", "rows"))[:others].to(x.device)
    flat = x[chosen].flatten(1).to(torch.float32)
    flat = flat[:, torch.linspace(0, flat.shape[1] - 1, min(FEATURES, flat.shape[1])).long().to(x.device)]
    classes = max(2, int(y.max()) + 1)
    labels = torch.arange(canaries, device=x.device) % classes  # all classes, so that they do not train the biases
    # At the start every class has probability 1 / classes: the gradient of the logits is that minus the one-hot label.
    delta = 1 / classes - torch.eye(classes, device=x.device)[labels].T
    length = math.sqrt(1 - 1 / classes)
    lit = max(LIT, math.sqrt(max(0.0, (NORM * plan.clip_norm / length) ** 2 - 1)))
    data = torch.zeros(small.examples, flat.shape[1] + canaries, device=x.device)
    data[:others, : flat.shape[1]] = flat
    data[others:, flat.shape[1] :] = lit * torch.eye(canaries, device=x.device)
    # Even a canary in every step, with four deviations of noise, then moves its own logits by about 1.
    reach = lit * plan.clip_norm * (plan.steps + 4 * plan.noise_multiplier * math.sqrt(plan.steps))
    return Planted(
        plan=small,
        x=data,
        y=torch.cat([y[chosen], labels.to(y.dtype)]),
        directions=delta / length,
        share=lit / math.hypot(lit, 1.0),
        learning_rate=small.batch_size / reach,
    )


def _small(plan: Plan, least: int) -> Plan:
    """The same sample rate exactly, with the fewest examples that are at least `least`."""
    rate = Fraction(plan.batch_size) / Fraction(plan.examples)
    examples = rate.denominator * math.ceil(least / rate.denominator)
    return replace(plan, examples=examples, batch_size=int(rate * examples))


def shadow_scores(
    planted: Planted,
    included: Sequence[bool] | np.ndarray,
    models: int,
    *,
    seed: int,
    world: str,
    trainer: Callable[..., PrivateTrainer] = PrivateTrainer,
) -> Generator[int, None, np.ndarray]:
    """Train models that differ in draws and noise alone, and score how much each looks trained on each canary.

    Args:
        included: which canaries the models' training set holds, [m].
        models: how many, as one population.
        seed, world: name the streams of draws and noise; no two calls share both.
        trainer: makes the trainer.

    Yields:
        steps done, now and then.

    Returns:
        two scores, [2, models, m]. `RATIO`: the log-likelihood ratio of all steps, the best score for the attacker whom
        the accountant supposes, who sees every step. `MOVEMENT`: the whole movement along the canary's gradient in clip
        norms, a matched filter on what the last model alone shows; it still fits where the noise is not the plan's.

    Raises:
        FloatingPointError: a score is not finite, so that a removed canary was not removed.
    """
    plan, kinds, canaries = planted.plan, len(planted.directions), planted.canaries
    arch = MLP((planted.x.shape[1], kinds))
    shapes = {name: torch.zeros(models, *shape, device=planted.x.device) for name, shape in arch.shapes().items()}
    training = trainer(
        arch,
        shapes,
        [plan] * models,
        planted.only(included),
        planted.y,
        learning_rate=planted.learning_rate,
        groups=range(models),
        draw_keys=[draw_key(SEEDED, seed, "audit", world, k) for k in range(models)],
        noise_keys=[noise_key(SEEDED, seed, f"audit/{world}", k) for k in range(models)],
    )

    def movement(before: Tensor, now: Tensor) -> Tensor:
        projected = torch.einsum("kcm,cm->km", before - now, planted.directions)
        return projected * (plan.batch_size / planted.learning_rate / plan.clip_norm)

    def own() -> Tensor:
        return training.params["0.weight"][:, :, -canaries:].clone()

    start = last = own()
    ratio = torch.zeros(models, canaries, dtype=torch.float64, device=start.device)
    for done in range(1, plan.steps + 1):
        training.advance(1)
        now = own()
        ratio += likelihood_ratio(movement(last, now).double(), planted)
        last = now
        if done % SLICE == 0 or done == plan.steps:
            yield done
    scores = torch.stack([ratio, movement(start, last).double()]).cpu().numpy()
    if not np.isfinite(scores).all():
        raise FloatingPointError("a removed canary moved the weights: its row of NaN was not left out")
    return scores


def likelihood_ratio(z: Tensor, planted: Planted) -> Tensor:
    """log of the density of one step's movement z with the canary in the training set over without.

    N(0, sigma^2) without; with it, the same shifted by `share` in a fraction q of the steps.
    """
    rate, sigma, shift = planted.plan.sample_rate, planted.plan.noise_multiplier, planted.share
    drawn = (shift * z - shift * shift / 2) / sigma**2 + math.log(rate)
    return drawn if rate == 1 else torch.logaddexp(drawn, torch.full_like(drawn, math.log1p(-rate)))
