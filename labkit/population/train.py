"""Training K networks at once, a slice of steps at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from labkit.population.architecture import Architecture
from labkit.population.capture import CapturedStep
from labkit.population.optim import SGD, Adam
from labkit.population.params import Params, members, repeat
from labkit.population.precision import matmul_precision

WARM_UP = 3  # eager steps before a capture: libraries choose their kernels and allocate their workspaces in them


class Trainer:
    """Advances a population through a fixed table of batches.

    The first steps run eagerly; on CUDA the step is then captured in a graph and replayed, with the same numbers.
    On the CPU a lone member is trained beside a copy of itself: for a batch of one, other kernels with another order
    of summation would run, and a member's result must not depend on its neighbours.

    Args:
        arch: the architecture of all members.
        params: their initial parameters [K, ...]; copied.
        optimiser: `SGD` or `Adam`.
        x, y: the training set, [n, ...] and [n], on the device of `params`.
        batches: row numbers [steps, B] shared by all members, or [steps, K, B].
        masks: 0/1 tensors [K, ...] for some or all parameters; masked weights are set to zero and stay exactly zero.
        capture: whether to use a CUDA graph; None for "on CUDA".
        tf32: allow TF32 in float32 matrix products.
    """

    def __init__(
        self,
        arch: Architecture,
        params: Params,
        optimiser: SGD | Adam,
        x: Tensor,
        y: Tensor,
        batches: Tensor,
        *,
        masks: Params | None = None,
        capture: bool | None = None,
        tf32: bool = False,
    ) -> None:
        self.count = members(params)
        device = x.device
        if self.count == 1 and device.type == "cpu":
            params, masks = repeat(params, 2), masks and repeat(masks, 2)
            batches = batches.expand(-1, 2, -1) if batches.dim() == 3 else batches
        self.arch, self.x, self.y, self.tf32 = arch, x, y, tf32
        self.batches = batches.to(device)
        self.steps = batches.shape[0]
        self.optimiser = optimiser.bind(params, masks)
        self.done = 0
        self.at = torch.zeros(1, dtype=torch.long, device=device)
        self.losses = torch.zeros(self.steps, members(params), device=device)
        self.capture = device.type == "cuda" if capture is None else capture
        self._captured: CapturedStep | None = None

    @property
    def params(self) -> Params:
        """The members' current parameters [K, ...]: views, overwritten by the next step."""
        return {name: tensor[: self.count] for name, tensor in self.optimiser.weights.views.items()}

    @property
    def captured(self) -> bool:
        """Whether steps are replayed from a CUDA graph."""
        return self._captured is not None

    def advance(self, steps: int) -> None:
        """Run up to `steps` more steps, fewer at the end of the table."""
        for _ in range(min(steps, self.steps - self.done)):
            if self.capture and self._captured is None and self.done >= WARM_UP:
                with matmul_precision(self.tf32):
                    self._captured = CapturedStep(self._step)
            if self._captured is None:
                with matmul_precision(self.tf32):
                    self._step()
            else:
                self._captured.replay()
            self.done += 1

    def _step(self) -> None:
        rows = self.batches.index_select(0, self.at)[0]
        x = self.x.index_select(0, rows.flatten()).view(*rows.shape, *self.x.shape[1:])
        y = self.y.index_select(0, rows.flatten()).view(rows.shape)
        loss = self.optimiser.step(self.arch, x, y)
        self.losses.index_copy_(0, self.at, loss.to(self.losses.dtype).unsqueeze(0))
        self.at.add_(1)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, copied to the CPU."""
        held = self.optimiser.state() | {"losses": self.losses, "at": self.at}
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`; shapes must be those of this trainer."""
        held = self.optimiser.state() | {"losses": self.losses, "at": self.at}
        for name, tensor in held.items():
            tensor.copy_(state[name])
        self.done = int(state["at"])
