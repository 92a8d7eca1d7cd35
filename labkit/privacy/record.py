"""What is written about a plan, for the store and for readers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from labkit.privacy.noise import OS

RELATION = "add/remove one record"
UNIT = "one training example (training split only)"
TEACHING = "for teaching: reproducible from its seed"
SECRET = "from the operating system: its keys are not written"


class Described(Protocol):
    """What is read of a plan (`labkit.privacy.plan.Plan`)."""

    examples: int
    batch_size: int
    steps: int
    clip_norm: float
    noise_multiplier: float
    delta: float | None
    epsilon: float | None
    accountant: str
    noise_source: str
    also: tuple[Any, ...]
    reason: str
    sample_rate: float
    private: bool

    def digest(self) -> str: ...
    def at_most_after(self, steps: int) -> float: ...


def record_of(plan: Described) -> dict[str, Any]:
    """Plain JSON values. Without noise there is no key epsilon, but a reason; an infinite clip norm is None."""
    said: dict[str, Any] = {
        "relation": RELATION,
        "unit": UNIT,
        "sampling": "Poisson",
        "sample_rate": plan.sample_rate,
        "examples": plan.examples,
        "batch_size": plan.batch_size,
        "steps": plan.steps,
        "clip_norm": plan.clip_norm if math.isfinite(plan.clip_norm) else None,
        "noise_multiplier": plan.noise_multiplier,
        "private": plan.private,
        "digest": plan.digest(),
    }
    if not plan.private:
        return said | {"reason": plan.reason}
    return said | {
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "accountant": plan.accountant,
        "noise_source": plan.noise_source,
        "noise": SECRET if plan.noise_source == OS else TEACHING,
        "also": [repr(event) for event in plan.also],
    }


def so_far(plan: Described, step: int, target: float) -> dict[str, Any]:
    """What the gauge shows of a dense network's plan after some steps; plain JSON values.

    Args:
        target: the epsilon that was asked for.
    """
    return {
        "step": step,
        "steps": plan.steps,
        "epsilon_spent": plan.at_most_after(step),
        "target": target,
        "delta": plan.delta,
        "accountant": plan.accountant,
        "sample_rate": plan.sample_rate,
        "source": plan.noise_source,
        "plan": f"dense network of epsilon {target:g}",
    }


def in_a_line(plans: Iterable[Described]) -> str:
    """What each of some plans costs, for who asks before a run."""
    plans = tuple(plans)
    said = [f"{p.epsilon:.4g} (noise multiplier {p.noise_multiplier:.3g}, {p.accountant})" for p in plans if p.private]
    delta = next((f" at delta {p.delta:.3g}" for p in plans if p.private), "")
    words = ", ".join(p.reason.partition(":")[0] for p in plans if not p.private)
    return "; ".join(part for part in (", ".join(said) + delta, f"none for {words}" if words else "") if part)
