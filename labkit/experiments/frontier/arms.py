"""What is compared at one grid point, and the networks that stand behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from labkit.experiments.frontier.spec import (
    CHOSEN,
    CLIPPED,
    DENSE,
    PLAIN,
    RANDOM,
    REPEATS,
    SIMULATED,
    SMALL,
    TUNED,
    FrontierSpec,
)
from labkit.privacy import Plan, spent
from labkit.privacy.repeats import LOGARITHMIC, Repeats, plan_repeats
from labkit.privacy.selection import selection_event

SELECTION_SHARE = 0.1  # of epsilon, spent on choosing a mask; the rest trains it
SMALLER = 4  # times smaller are batch and noise of the simulation (2210.03403)


@dataclass(frozen=True)
class Arm:
    """A way to train at one epsilon.

    Args:
        name: dense, random, small, chosen-K, repeats or simulated.
        plan: what it may spend, and on what.
        sparsity, space: of its mask, or of the mask whose size it copies; 0 and "" for the dense network.
        candidates: how many masks were chosen from, or are on average; 0 where there is no choice.
    """

    name: str
    plan: Plan
    sparsity: float = 0.0
    space: str = ""
    candidates: float = 0

    @property
    def kind(self) -> str:
        """The name without its number."""
        return self.name.split("-")[0]

    @property
    def masked(self) -> bool:
        """Whether it trains a sub-network of the dense parent."""
        return self.kind in (RANDOM, CHOSEN, REPEATS)

    def clipped_to(self, clip_norm: float) -> Arm:
        """The same arm at another clip norm; it costs the same, since the noise is scaled to it."""
        return replace(self, plan=replace(self.plan, clip_norm=clip_norm))

    def tuned_as(self) -> Arm:
        """The arm whose learning rate it takes: choices among few and among many masks train alike."""
        return replace(self, name=self.kind, candidates=0)


@dataclass(frozen=True)
class Network:
    """One network to be trained.

    Args:
        seed: of its parent, its masks and its Poisson draws.
        rate: learning rate.
        candidate: the number of its mask among those of its seed.
        draw: names Poisson draws of its own; empty for those that all networks of the seed share.
        purpose: "report" or "tuning".
    """

    arm: Arm
    seed: int
    rate: float
    candidate: int = 0
    draw: str = ""
    purpose: str = "report"


class Plans:
    """The plans of one epsilon, each calibrated once.

    Args:
        point: any grid point with this epsilon.
        examples: size of the training set.
    """

    def __init__(self, point: FrontierSpec, examples: int) -> None:
        (self.epsilon,) = point.epsilon
        self.point = point
        self.common = {"examples": examples, "batch_size": point.batch_size, "steps": point.steps}
        self.private = {"delta": point.delta or None, "noise_source": point.noise_source}
        self.clip_norm = 1.0 if point.clip_norm == TUNED else point.clip_norm  # tuning goes from there
        self.training = self._training()

    def _training(self) -> Plan:
        if self.epsilon == PLAIN:
            return Plan.nonprivate("plain: neither clipping nor noise", **self.common)
        clipped = self.common | {"clip_norm": self.clip_norm}
        if self.epsilon == CLIPPED:
            return Plan.nonprivate("clipped: clipping without noise", **clipped)
        return Plan.calibrated(epsilon=self.epsilon, **clipped, **self.private)

    @property
    def noisy(self) -> bool:
        """Whether this epsilon is a number."""
        return self.training.private

    @cached_property
    def chosen(self) -> Plan:
        """Choosing a mask and training it, together at this epsilon."""
        also = (selection_event(SELECTION_SHARE * self.epsilon),)
        clip = self.clip_norm
        return Plan.calibrated(epsilon=self.epsilon, clip_norm=clip, also=also, **self.common, **self.private)

    @cached_property
    def repeats(self) -> Repeats:
        """A random number of repeats that cost this epsilon together; of one mean the logarithmic law costs least."""
        mean, clip = self.point.repeats, self.clip_norm
        return plan_repeats(
            epsilon=self.epsilon, mean=mean, shape=LOGARITHMIC, clip_norm=clip, **self.common, **self.private
        )

    def cost(self, arm: Arm, executions: int = 1) -> tuple[float, str]:
        """What all that an arm does costs, done so many times from the beginning, and whose bound that is."""
        whole = self.repeats if arm.kind == REPEATS else arm.plan
        if executions > 1:
            events = [whole.event()] if arm.kind == REPEATS else [whole.event(), *whole.also]
            whole = spent(events * executions, whole.delta)
        return whole.epsilon, whole.accountant

    @cached_property
    def simulated(self) -> Plan:
        """The same steps at the same batch / sigma with a quarter of both: it costs far more than this epsilon."""
        batch = max(1, self.point.batch_size // SMALLER)
        sigma = self.training.noise_multiplier * batch / self.point.batch_size
        common = self.common | {"batch_size": batch, "clip_norm": self.clip_norm}
        return Plan.noised(noise_multiplier=sigma, **common, **self.private)


def arms_of(plans: Plans, sparsity: float, space: str) -> list[Arm]:
    """Everything compared at a grid point."""
    made = [Arm(DENSE, plans.training)]
    if sparsity > 0:
        made += [Arm(name, plans.training, sparsity, space) for name in (RANDOM, SMALL)]
    if plans.noisy:
        made.append(Arm(SIMULATED, plans.simulated))
        if sparsity > 0 and space == "nodes":
            made += [Arm(f"{CHOSEN}-{k}", plans.chosen, sparsity, space, k) for k in plans.point.budgets()]
            made.append(Arm(REPEATS, plans.repeats.base, sparsity, space, plans.point.repeats))
    return made
