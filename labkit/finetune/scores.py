"""Scores of rows, read from noisy gradients of a network that stands still: what SPARTA chooses rows by (2503.12822).

One epoch of steps in which nothing moves. In each, every example's gradient over all weights that may move is clipped
to C, as in training, and something of sensitivity C is released with the plan's noise; the scores of a row add up over
the steps, and what comes out negative counts as zero. With u the sum of the clipped gradients c_i of a step and z
independent noise of the standard deviation sigma C on each number:

    sum        sum over a row of |u| + z       the authors' code
    absolute   sum over a row of (sum_i |c_i|) + z      their formula: gradients that cancel count
    noisy      sum over a row of |u + z|       an afterthought to a release that training makes anyway
    norm       |u_row| + z, one z for a row    the least noise: a row's numbers share it

Each is C-sensitive in L2 to one example: |u| and sum_i |c_i| because | |a| - |b| | <= |a - b| number by number, and row
norms because the length of a difference is at most the difference's length, row by row (privacy.md 22).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.finetune.network import Network
from labkit.finetune.tail import Tail
from labkit.population.params import Params
from labkit.privacy.noise import OS, fill_normal
from labkit.privacy.plan import Plan
from labkit.privacy.train import PrivateTrainer

SUM, ABSOLUTE, NOISY, NORM, GRADIENT = "sum", "absolute", "noisy", "norm", "gradient"
READINGS = (SUM, ABSOLUTE, NOISY, NORM)


class RowScores(PrivateTrainer):
    """Runs some steps of a plan on a network that does not move, and adds up what they say of its rows.

    Args:
        network: with the values that it is scored at.
        layers: names of the weight layers whose rows are scored.
        reading: one of `READINGS`, or "gradient" for the noisy sum of gradients itself.
        plan, x, y, draw_key, noise_key, span, capture, tf32: as for `PrivateTrainer`; x are images.
        base: values in place of the network's own, such as a new head's.
        at: the number of the stage that x is the input of, where that is known already; 0 for images.

    Raises:
        BadInput: an unknown reading; or as `PrivateTrainer`.
    """

    def __init__(
        self,
        network: Network,
        layers: Collection[str],
        reading: str,
        plan: Plan,
        x: Tensor,
        y: Tensor,
        *,
        draw_key: int,
        noise_key: int,
        span: tuple[int, int],
        base: Mapping[str, Tensor] | None = None,
        at: int = 0,
        capture: bool | None = None,
        tf32: bool = False,
    ) -> None:
        if reading not in (*READINGS, GRADIENT):
            raise BadInput("reading", reading, f"one of {', '.join(READINGS)}, {GRADIENT}")
        self.reading = reading
        weights = [f"{name}.weight" for name in layers]
        tail = Tail(network, weights, base=base, absolute=reading == ABSOLUTE)
        super().__init__(
            tail, tail.start({}), [plan], tail.features(x, at), y, learning_rate=0.0, draw_keys=[draw_key],
            noise_keys=[noise_key], span=span, capture=capture, tf32=tf32,
        )  # fmt: skip
        device = self.x.device
        rows = {name.removesuffix(".weight"): len(view[0]) for name, view in self.total.views.items()}
        self._sizes = rows
        self._released, self._exact = torch.zeros(2, sum(rows.values()), dtype=torch.float64, device=device)
        self._forgotten = False
        self._norms = torch.zeros(sum(rows.values()), device=device, dtype=self.total.data.dtype)
        self._summed = torch.zeros_like(self.total.data) if reading == GRADIENT else None

    def _move(self) -> None:
        """Nothing moves: the step's release is added to the scores."""
        if self.reading == NORM:
            torch.cat([view[0].flatten(1).norm(dim=1) for view in self.total.views.values()], out=self._norms)
            self._exact.add_(self._norms)
            self._add_noise(self._norms)
            self._released.add_(self._norms)
            return
        if self.reading == SUM:
            self.total.data.abs_()
        self._exact.add_(self._by_row())
        self._add_noise(self.total.data)
        if self._summed is not None:
            self._summed.add_(self.total.data)
        self._released.add_(self._by_row())

    def _by_row(self) -> Tensor:
        """The sum over each row of what the step's sum holds; of absolute values where numbers have both signs."""
        signed = self.reading in (NOISY, GRADIENT)
        each = (view[0].flatten(1).double() for view in self.total.views.values())
        return torch.cat([(row.abs() if signed else row).sum(1) for row in each])

    def _add_noise(self, numbers: Tensor) -> None:
        """numbers + sigma C z, z named by the key and the step."""
        if numbers.device.type == "cuda":
            from labkit.privacy.fused_noise import noisy_step  # Triton comes with PyTorch's CUDA builds alone

            minus = -torch.ones_like(self.rate)  # numbers - (-1) * (0 + deviation * z)
            noisy_step(
                numbers[None], torch.zeros_like(numbers)[None], None, None, keys=self._keys, step=self.step,
                deviation=self.deviation, rate=minus, momentum=0.0, part=0,
            )  # fmt: skip
            return
        if self.deviation[0] > 0:
            noise = torch.zeros(1, len(numbers))
            fill_normal(noise, self.noise_keys, self.done, [True])
            numbers.add_(noise[0] * self.deviation[0])

    def scores(self) -> dict[str, Tensor]:
        """The released score of each row, float64 [rows] by layer, on the CPU."""
        return self._split(self._released.clamp(min=0))

    def noiseless_scores(self) -> dict[str, Tensor] | None:
        """What the scores would have been without noise: exact private statistics, which no guarantee covers.

        None where a part of them was not written down (`state`).
        """
        return None if self._forgotten else self._split(self._exact)

    def released_gradient(self) -> Params:
        """The noisy sum of the clipped gradients of all steps, by weight [rows, ...] (reading "gradient")."""
        numbers, found, start = self._summed, {}, 0
        for name, view in self.total.views.items():
            found[name] = numbers[start : start + view.numel()].view(view.shape[1:])
            start += view.numel()
        return found

    def _split(self, numbers: Tensor) -> dict[str, Tensor]:
        return dict(zip(self._sizes, numbers.cpu().split(list(self._sizes.values())), strict=True))

    def state(self) -> dict[str, Tensor]:
        """As `PrivateTrainer.state`. Of a seeded run it is private, and holds the noiseless scores; with noise from the
        operating system it does not: beside the released ones they would give the noise away (privacy.md 9)."""
        held = {"released": self._released}
        if self.plan.noise_source != OS:
            held["exact"] = self._exact
        if self._summed is not None:
            held["gradient"] = self._summed
        return super().state() | {name: tensor.to("cpu", copy=True) for name, tensor in held.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """As `PrivateTrainer.load`."""
        super().load(state)
        self._released.copy_(state["released"])
        if "exact" in state:
            self._exact.copy_(state["exact"])
        self._forgotten = "exact" not in state
        if self._summed is not None:
            self._summed.copy_(state["gradient"])
