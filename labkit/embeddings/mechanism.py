"""What a private step may do to embedding tables: one small class for each mechanism, all called alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.embeddings.noise import StepNoise
from labkit.embeddings.optim import Mover
from labkit.embeddings.unit_gradients import UnitGradients
from labkit.errors import BadInput
from labkit.privacy import Plan

L2, L1 = "l2", "l1"


@dataclass(frozen=True, kw_only=True)
class Method:
    """The mechanism and its settings.

    Args:
        name: a key of `labkit.embeddings.methods.METHODS`.
        selection_fraction: f, the share of 1 / sigma^2 that choosing rows takes (AdaFEST).
        threshold: of the noisy contribution map, in standard deviations of its noise.
        map_clip: C1, the norm that each unit's contribution map is clipped to.
        map_norm: in which norm: "l2", or "l1", whose sensitivity in L2 is no smaller at worst.
    """

    name: str
    selection_fraction: float = 0.0
    threshold: float = 0.0
    map_clip: float = 1.0
    map_norm: str = L2


class Mechanism(ABC):
    """Noises and moves the rows of one training's tables.

    Args:
        mover: holds the tables, float32 [D, dim].
        plan: of the training; the only source of a noise multiplier.
        method: the settings.
        noise: of this release alone.
        active: int64 [A], the rows that are trained, rising; None for all. Rows in `UnitGradients` are places in it.

    Attributes:
        deviation: of the noise on each number of a step's clipped sum, of the dense layers' as of the rows'.
        survivors, touched: int64 [steps], how many rows each step noised, and how many different ones its batch
            touched, which is exact and private; -1 where it was not counted.
    """

    #: whether it can go on with an optimiser whose moves are not linear in the noise
    linear_only = False

    def __init__(
        self, mover: Mover, plan: Plan, method: Method, noise: StepNoise, active: Tensor | None = None
    ) -> None:
        if self.linear_only and mover.squares is not None:
            raise BadInput(
                "optimizer", "adagrad", f"sgd with {method.name}: delayed noise adds up under plain SGD alone"
            )
        self.mover, self.plan, self.method, self.noise, self.active = mover, plan, method, noise, active
        self.rows = len(mover.weights) if active is None else len(active)
        self.survivors, self.touched = torch.full((2, plan.steps), -1, device=mover.weights.device)
        self.deviation = plan.noise_multiplier * plan.sensitivity if plan.private else 0.0
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Make what the mechanism keeps beside the tables."""

    def before(self, rows: Tensor, step: Tensor, at: int) -> None:
        """Called with the batch's rows, int64 [S] with -1 in empty slots, before they are read."""
        return

    @abstractmethod
    def update(self, found: UnitGradients, step: Tensor, at: int) -> None:
        """Noise the clipped sum of `found` and move the tables.

        Args:
            step: int64 [1] on the tables' device: the number of steps done.
            at: the same number, where the step is not captured.
        """

    def flush(self, at: int) -> None:
        """Bring the tables to where the guarantee holds, before anybody evaluates, shows or releases them."""
        return

    def check(self) -> None:
        """Raise where the steps done were not what the plan says; asked before anything is evaluated or stored."""
        return

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs beside the tables."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`."""
        return

    def record(self, step: Tensor, survivors: Tensor, touched: Tensor | None = None) -> None:
        """Note the step's counts."""
        self.survivors.index_copy_(0, step, survivors.reshape(1).long())
        if touched is not None:
            self.touched.index_copy_(0, step, touched.reshape(1).long())

    def joint(self, rows: Tensor) -> Tensor:
        """Rows of the tables for places among the active rows."""
        return rows if self.active is None else self.active.index_select(0, rows)
