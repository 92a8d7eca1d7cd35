"""Break private training on purpose, and let the audit notice: `python -m tools.audit half-noise`.

The bugs live here and nowhere in the package. Each claims the epsilon of its plan and does less than the plan says:

    half-noise   the noise has half its standard deviation
    unclipped    one example in the data is never clipped; its gradient is ten clip norms long
    one-batch    the first batch is used for all steps
    none         nothing is wrong, so nothing must be caught
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labkit.data import digits
from labkit.population import Params
from labkit.population.clipping import Clipped
from labkit.privacy.audit.game import Judged, judge, play
from labkit.privacy.gradient import ClippedSum
from labkit.privacy.plan import Plan
from labkit.privacy.train import PrivateTrainer


class HalfNoise(PrivateTrainer):
    """Adds half the noise of its plan."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.deviation = self.deviation / 2


class UnclippedSum(ClippedSum):
    """Clips every example but those whose last pixel is lit: the canary."""

    def add(self, params: Params, x: Tensor, y: Tensor, out: Params, *, weight: Tensor, fresh: bool) -> Clipped:
        canary = (x[..., -1] > 0).to(weight.dtype)
        found = super().add(params, x, y, out, weight=weight * (1 - canary), fresh=fresh)
        loose = ClippedSum(self.arch, torch.full_like(self.clip, torch.inf), self.masks)
        loose.add(params, x, y, out, weight=weight * canary, fresh=False)
        return found


class Unclipped(PrivateTrainer):
    """Trains with `UnclippedSum`."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.gradient = UnclippedSum(self.gradient.arch, self.gradient.clip, self.gradient.masks)


class OneBatch(PrivateTrainer):
    """Draws once, and uses that batch in every step."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        first = self.ends[0]
        self.rows = self.rows[:first].repeat(self.steps, 1, 1)
        self.ends = tuple(first * (step + 1) for step in range(self.steps))


@dataclass(frozen=True)
class Bug:
    """A broken trainer and a game that shows it.

    Args:
        trainer: what trains the shadow models.
        batch_size, steps, noise_multiplier: of the claimed plan, over 100 examples.
        runs: in each world, enough to catch it in 99 of 100 audits.
    """

    trainer: type[PrivateTrainer]
    batch_size: int
    steps: int
    noise_multiplier: float
    runs: int

    def claimed(self) -> Plan:
        """What it claims to do."""
        return Plan.noised(
            noise_multiplier=self.noise_multiplier,
            examples=100,
            batch_size=self.batch_size,
            steps=self.steps,
            clip_norm=1.0,
            delta=1e-5,
        )


BUGS = {
    "half-noise": Bug(HalfNoise, 20, 100, 4.0, 1000),  # a claimed mu of q sqrt(T) / sigma = .5
    "unclipped": Bug(Unclipped, 20, 100, 4.0, 500),
    "one-batch": Bug(OneBatch, 7, 100, 3.0, 2000),  # 400 steps at sigma 6 show the same, in four times the time
    "none": Bug(PrivateTrainer, 20, 100, 4.0, 1000),
}


def examples() -> tuple[Tensor, Tensor]:
    """Small pictures of digits [n, 64], and whether each is at least 5."""
    data = digits.load()
    return torch.from_numpy(data.scaled()).flatten(1), (torch.from_numpy(data.labels) >= 5).long()


def audited(bug: Bug, seed: int, device: torch.device | str = "cpu") -> Judged:
    """Audit a broken trainer against what its plan claims."""
    plan = bug.claimed()
    x, y = (tensor.to(device) for tensor in examples())
    return judge(play(plan, x, y, bug.runs, seed, trainer=bug.trainer).counts(), plan)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bug", choices=BUGS)
    parser.add_argument("--runs", type=int, help="shadow models in each world; default: enough for the bug")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    wanted = parser.parse_args(arguments)
    bug, began = BUGS[wanted.bug], time.perf_counter()
    if wanted.runs is not None:
        bug = replace(bug, runs=wanted.runs)
    plan = bug.claimed()
    print(
        f"claimed: epsilon {plan.epsilon:.3g} at delta {plan.delta:g}, add or remove one record "
        f"(q {plan.sample_rate:g}, {plan.steps} steps, sigma {plan.noise_multiplier:g})",
        flush=True,
    )
    found = audited(bug, wanted.seed, wanted.device)
    print(
        f"audited: epsilon at least {found.epsilon:.3g} at {100 * found.confidence:g} % joint confidence, "
        f"{bug.runs:,} runs a world; for any mechanism at least {found.supposing_nothing:.3g}\n"
        f"{'caught' if found.refuted else 'not caught'} after {time.perf_counter() - began:.0f} s"
    )
    return 0 if found.refuted == (wanted.bug != "none") else 1


if __name__ == "__main__":
    raise SystemExit(main())
