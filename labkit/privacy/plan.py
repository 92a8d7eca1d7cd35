"""One plan couples sampler, clip norm, noise and the event that an accountant counts. Nothing trains without it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dp_accounting import DpEvent, NonPrivateDpEvent

from labkit.errors import BadInput
from labkit.privacy.accounting import NONE, Spent, default_delta, joint_cost
from labkit.privacy.calibration import noise_for
from labkit.privacy.checks import WORDS, check_guarantee, check_training, is_number
from labkit.privacy.events import dp_sgd, parts
from labkit.privacy.growth import growth
from labkit.privacy.noise import SEEDED, draw_key, noise_key
from labkit.privacy.record import record_of
from labkit.privacy.sampling import PoissonSampler


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a training run may do with its examples, and what that costs.

    Made by `calibrated`, `noised` or `nonprivate`. Neighbouring data sets differ by one training example added or
    removed; the number of examples is public, and only the training split is protected.

    Args:
        examples: n, the size of the training set.
        batch_size: expected size of a batch; each example is in it with probability batch_size / examples.
        steps: of noisy gradient descent.
        clip_norm: C, the largest norm of one example's gradient; infinite for plain training.
        noise_multiplier: sigma; the noise of a step's clipped sum has the standard deviation sigma C. 0 for none.
        delta, epsilon: the joint guarantee of the training and `also`; None where there is none.
        accountant: whose bound epsilon is: "PLD", "RDP", or "none".
        noise_source: "seeded" or "os".
        also: other mechanisms charged to the same examples, such as a private choice.
        reason: why there is no guarantee; empty where there is one.

    Raises:
        BadInput: a field that cannot be, or an epsilon below what the noise costs.
    """

    examples: int
    batch_size: int
    steps: int
    clip_norm: float
    noise_multiplier: float
    delta: float | None
    epsilon: float | None
    accountant: str
    noise_source: str = SEEDED
    also: tuple[DpEvent, ...] = ()
    reason: str = ""

    def __post_init__(self) -> None:
        check_training(self.examples, self.batch_size, self.steps, self.clip_norm, self.noise_source)
        if not self.noise_multiplier:
            if self.epsilon is not None or self.delta is not None or self.accountant != NONE:
                raise BadInput("epsilon", self.epsilon, "none where there is no noise: use Plan.nonprivate")
            if not self.reason:
                raise BadInput("reason", self.reason, "why training goes without noise, in words")
            return
        # A bound of 0 is one: with enough noise two neighbours differ by less than delta.
        check_guarantee(self.examples, self.clip_norm, self.delta, 1.0 if self.epsilon == 0 else self.epsilon)
        costs = joint_cost(parts([self.event(), *self.also]), self.delta)
        if costs.epsilon > self.epsilon * (1 + 1e-6):
            raise BadInput("epsilon", self.epsilon, f"at least {costs.epsilon:.6g}, what this noise costs")

    @classmethod
    def calibrated(
        cls,
        *,
        epsilon: float,
        examples: int,
        batch_size: int,
        steps: int,
        clip_norm: float,
        delta: float | None = None,
        noise_source: str = SEEDED,
        also: Sequence[DpEvent] = (),
    ) -> Plan:
        """The least noise with which the training and `also` together cost at most epsilon.

        The plan's own epsilon is what they do cost: up to a thousandth less.

        Args:
            delta: None for the smaller of 1e-5 and 1 / (10 n).
        """
        check_training(examples, batch_size, steps, clip_norm, noise_source)
        delta = default_delta(examples) if delta is None else delta
        check_guarantee(examples, clip_norm, delta, epsilon)
        sigma, costs = noise_for(float(epsilon), float(delta), batch_size / examples, int(steps), parts(also))
        return cls._costing(costs, sigma, examples, batch_size, steps, clip_norm, noise_source, also)

    @classmethod
    def noised(
        cls,
        *,
        noise_multiplier: float,
        examples: int,
        batch_size: int,
        steps: int,
        clip_norm: float,
        delta: float | None = None,
        noise_source: str = SEEDED,
        also: Sequence[DpEvent] = (),
    ) -> Plan:
        """The other way: what the training and `also` cost with this noise."""
        check_training(examples, batch_size, steps, clip_norm, noise_source)
        delta = default_delta(examples) if delta is None else delta
        check_guarantee(examples, clip_norm, delta, epsilon=1.0)
        if not is_number(noise_multiplier) or not 0 < noise_multiplier < math.inf:
            raise BadInput("noise_multiplier", noise_multiplier, f"a finite number above 0; {WORDS}")
        sigma = float(noise_multiplier)
        costs = joint_cost(parts([dp_sgd(batch_size / examples, sigma, int(steps)), *also]), float(delta))
        return cls._costing(costs, sigma, examples, batch_size, steps, clip_norm, noise_source, also)

    @classmethod
    def _costing(
        cls,
        costs: Spent,
        noise_multiplier: float,
        examples: int,
        batch_size: int,
        steps: int,
        clip_norm: float,
        noise_source: str,
        also: Sequence[DpEvent],
    ) -> Plan:
        return cls(
            examples=int(examples),
            batch_size=int(batch_size),
            steps=int(steps),
            clip_norm=float(clip_norm),
            noise_multiplier=noise_multiplier,
            delta=costs.delta,
            epsilon=costs.epsilon,
            accountant=costs.accountant,
            noise_source=noise_source,
            also=tuple(also),
        )

    @classmethod
    def nonprivate(
        cls, reason: str, *, examples: int, batch_size: int, steps: int, clip_norm: float = math.inf
    ) -> Plan:
        """Training without noise, for the arms `plain` (no clip norm) and `clipped`; it never has an epsilon."""
        check_training(examples, batch_size, steps, clip_norm, SEEDED)
        return cls(
            examples=int(examples),
            batch_size=int(batch_size),
            steps=int(steps),
            clip_norm=float(clip_norm),
            noise_multiplier=0.0,
            delta=None,
            epsilon=None,
            accountant=NONE,
            reason=reason,
        )

    @property
    def sample_rate(self) -> float:
        """q, the probability with which an example joins a step's batch."""
        return self.batch_size / self.examples

    @property
    def private(self) -> bool:
        """Whether there is a guarantee."""
        return self.noise_multiplier > 0

    @property
    def sensitivity(self) -> float:
        """How far one example, added or removed, can move a step's clipped sum: the clip norm."""
        return self.clip_norm

    def event(self, steps: int | None = None) -> DpEvent:
        """The training's first `steps` steps, all of them by default, as `dp_accounting` counts them."""
        if not self.private:
            return NonPrivateDpEvent()
        return dp_sgd(self.sample_rate, self.noise_multiplier, self.steps if steps is None else steps)

    def spent_after(self, steps: int) -> Spent:
        """What the first `steps` steps and `also` cost; epsilon is infinite for training without noise.

        It is a guarantee for who stops there only if the decision to stop looked at no private data.
        """
        if not 0 <= steps <= self.steps:
            raise BadInput("steps", steps, f"0 to {self.steps}")
        if not self.private:
            return Spent(math.inf, 0.0, NONE)
        if steps == self.steps:
            return Spent(self.epsilon, self.delta, self.accountant)
        return joint_cost(parts([self.event(steps), *self.also]), self.delta)

    def curve(self, points: int = 24) -> tuple[tuple[int, float], ...]:
        """Epsilon as it grows, for a live gauge: (steps done, epsilon), from (0, the cost of `also`) to the whole.

        Both rise from pair to pair. Computed once, ahead of the training: RDP, which can follow live, differs by up to
        2.7 times.

        Args:
            points: pairs after the first, closer together at the beginning, where epsilon grows fastest.

        Raises:
            BadInput: training without noise has no curve.
        """
        if not self.private:
            raise BadInput("plan", self.reason, "a plan with noise: without it there is no epsilon")
        training = (self.sample_rate, self.noise_multiplier, self.steps)
        return growth(*training, parts(self.also), self.spent_after(self.steps), points)

    def at_most_after(self, steps: int) -> float:
        """What the first `steps` steps cost at most: the precomputed curve at its next point, for a gauge that must not
        keep a training waiting as `spent_after` would."""
        if not 0 <= steps <= self.steps:
            raise BadInput("steps", steps, f"0 to {self.steps}")
        return next(epsilon for done, epsilon in self.curve() if done >= steps)

    def digest(self) -> str:
        """64 hexadecimal digits that two plans share only if all their fields are equal."""
        fields = asdict(self) | {"also": [repr(event) for event in self.also]}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def record(self) -> dict[str, Any]:
        """Plain values for the store and for readers. Without noise it has no epsilon, but a reason."""
        return record_of(self)

    def sampler(self, keys: Sequence[int]) -> PoissonSampler:
        """The draws that the plan's cost supposes, one for each key."""
        return PoissonSampler(self.examples, self.sample_rate, keys)

    def noise_key(self, seed: int, run: str, member: str | int) -> int:
        """The key of one member's noise (`labkit.privacy.noise.noise_key`)."""
        return noise_key(self.noise_source, seed, run, member)

    def draw_key(self, seed: int, *labels: str | int) -> int:
        """The key of one Poisson draw (`labkit.privacy.noise.draw_key`)."""
        return draw_key(self.noise_source, seed, *labels)
