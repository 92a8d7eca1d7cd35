"""Training K networks under privacy plans, a slice of steps at a time: sample, clip, add noise, move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population import Architecture, Params, members
from labkit.population.capture import CapturedStep
from labkit.population.params import Flat, weights_per_member
from labkit.population.precision import matmul_precision
from labkit.population.train import WARM_UP
from labkit.privacy.gradient import ClippedSum
from labkit.privacy.noise import OS, fill_normal
from labkit.privacy.plan import Plan


class PrivateTrainer:
    """Advances a population, each member under a plan of its own, through Poisson-sampled batches.

    A step of member k: w = w - (learning rate / expected batch) * mask * (clipped sum + sigma * sensitivity * z), with
    momentum if asked for. The sum is divided by the *expected* batch size: the size that was drawn is private. Members
    of one group share each draw, which makes them one event to an accountant (`labkit.privacy.ledger`); they never
    share noise.

    On CUDA the step is captured in a graph after a few eager ones; a draw that overflows its slot runs one more
    captured piece.

    Args:
        arch, params: the architecture and the initial parameters [K, ...]; copied.
        plans: one for each member; they may differ in noise multiplier, clip norm and reason, in nothing else.
        x, y: the training set, [n, ...] and [n], on the device of `params`; n is the plans' number of examples.
        learning_rate: a number, or one for each member.
        draw_keys: the keys of G Poisson draws (`Plan.draw_key`).
        groups: for each member the draw that it uses; None for the only one.
        noise_keys: for each member the key of its noise (`Plan.noise_key`).
        masks: 0/1 tensors [K, ...] for some or all parameters; what they mask is set to zero and gets neither gradient
            nor noise.
        padded: places in a slot of the batch table; None for a size that is rarely exceeded.
        span: (first, last) where the plan covers several stages: this trainer runs its steps first to last - 1. Draws
            and noise of a step are named by its number in the plan, so stages under the same keys share neither; a
            stage begins without momentum. None for the whole plan.
        capture, tf32: as for `labkit.population.Trainer`; TF32 never touches norms, sums or noise.

    Raises:
        BadInput: plans that differ in what members must share, a data set of another size than the plans', or a span
            that is empty or not of the plan.
    """

    def __init__(
        self,
        arch: Architecture,
        params: Params,
        plans: Sequence[Plan],
        x: Tensor,
        y: Tensor,
        *,
        learning_rate: float | Sequence[float],
        draw_keys: Sequence[int],
        noise_keys: Sequence[int],
        groups: Sequence[int] | None = None,
        momentum: float = 0.0,
        masks: Params | None = None,
        padded: int | None = None,
        span: tuple[int, int] | None = None,
        capture: bool | None = None,
        tf32: bool = False,
    ) -> None:
        self.plan, self.plans, self.count = plans[0], tuple(plans), members(params)
        self.first, self.last = (0, self.plan.steps) if span is None else span
        self._refuse(len(y), noise_keys)
        self.arch, self.x, self.y, self.tf32, self.momentum = arch, x, y, tf32, momentum
        device = x.device
        self.weights = Flat.of(params)
        self.total = Flat(self.count, arch.shapes(), device=device, dtype=self.weights.data.dtype)
        self.velocity = Flat.of(self.total.views) if momentum else None
        self.mask = _flat_mask(self.weights, masks)
        self.gradient = ClippedSum(arch, torch.tensor([p.clip_norm for p in plans], device=device), masks)
        multiplier = torch.tensor([p.noise_multiplier for p in plans], device=device)
        self.deviation = torch.where(multiplier > 0, multiplier * self.gradient.sensitivity, 0.0)
        rate = torch.as_tensor(learning_rate, dtype=torch.float32, device=device).expand(self.count)
        self.rate = rate / self.plan.batch_size
        self.noise_keys = tuple(noise_keys)
        draws = self.plan.sampler(draw_keys).draw(self.plan.steps, padded)
        self.ends, self.rows = draws.ends, draws.rows.to(device)
        self.groups = torch.tensor(groups or [0] * self.count, device=device)
        self.shared = len(draw_keys) == 1
        # Both count from the plan's start, whatever the span: the batch is the slot's, the noise the step's.
        self.slot = torch.full((1,), self._slots(self.first), dtype=torch.int32, device=device)
        self.step = torch.full((1,), self.first, dtype=torch.int32, device=device)
        self.done = self.first
        self.seen, self.clipped, self.dropped = torch.zeros(3, self.count, dtype=torch.int64, device=device).unbind()
        if device.type == "cuda":
            self._keys = torch.tensor(self.noise_keys, dtype=torch.int64, device=device)
        else:
            self._noise = torch.zeros(self.count, weights_per_member(arch.shapes()))
            self._noisy = [bool(deviation > 0) for deviation in self.deviation]
        self.capture = device.type == "cuda" if capture is None else capture
        self._graphs: dict[tuple[bool, bool], CapturedStep] = {}

    def _refuse(self, examples: int, noise_keys: Sequence[int]) -> None:
        for plan in self.plans:
            for name in ("examples", "batch_size", "steps", "noise_source"):
                if getattr(plan, name) != getattr(self.plan, name):
                    raise BadInput(name, getattr(plan, name), f"one for all members, here {getattr(self.plan, name)}")
        if self.plan.examples != examples:
            raise BadInput("examples", self.plan.examples, f"{examples}, the size of the training set")
        if not 0 <= self.first < self.last <= self.plan.steps:
            raise BadInput("span", (self.first, self.last), f"a step or more of the plan's, 0 to {self.plan.steps}")
        if len(self.plans) != self.count or len(noise_keys) != self.count:
            raise BadInput("plans", len(self.plans), f"{self.count}: a plan and a noise key for each member")
        private = [key for key, plan in zip(noise_keys, self.plans, strict=True) if plan.private]
        if len(set(private)) < len(private):
            raise BadInput("noise_keys", "two equal keys", "a key for each member: arms never share noise")

    @property
    def params(self) -> Params:
        """The members' current parameters [K, ...]: views, overwritten by the next step."""
        return self.weights.views

    @property
    def captured(self) -> bool:
        """Whether steps are replayed from a CUDA graph."""
        return bool(self._graphs)

    @property
    def steps(self) -> int:
        """The number of the plan's step at which this trainer ends: steps of the whole run without a span."""
        return self.last

    def advance(self, steps: int) -> None:
        """Run up to `steps` more steps, fewer at the end of the span."""
        for _ in range(min(steps, self.steps - self.done)):
            first, end = self._slots(self.done), self._slots(self.done + 1)
            for slot in range(first, end):
                self._run(slot == first, slot == end - 1)
            self.done += 1

    def _slots(self, steps: int) -> int:
        """Slots of the plan's first `steps` steps."""
        return self.ends[steps - 1] if steps else 0

    def _run(self, fresh: bool, last: bool) -> None:
        with matmul_precision(self.tf32), torch.no_grad():
            if not self.capture or self.done - self.first < WARM_UP:
                self._piece(fresh, last)
                return
            if (fresh, last) not in self._graphs:
                self._graphs[fresh, last] = CapturedStep(lambda: self._piece(fresh, last))
            self._graphs[fresh, last].replay()

    def _piece(self, fresh: bool, last: bool) -> None:
        """One slot of a step: add its clipped gradients to the sum; after the last one add noise and move."""
        rows = self.rows.index_select(0, self.slot)[0]
        rows = rows[0] if self.shared else rows.index_select(0, self.groups)
        real, rows = rows >= 0, rows.clamp(min=0)
        x = self.x.index_select(0, rows.flatten()).view(*rows.shape, *self.x.shape[1:])
        y = self.y.index_select(0, rows.flatten()).view(rows.shape)
        weight = real.to(self.weights.data.dtype)
        found = self.gradient.add(self.weights.views, x, y, self.total.views, weight=weight, fresh=fresh)
        self.seen.add_(real.sum(-1))
        self.clipped.add_(found.clipped)
        self.dropped.add_(found.dropped)
        self.slot.add_(1)
        if last:
            self._move()
            self.step.add_(1)

    def _move(self) -> None:
        if self.x.device.type == "cuda":
            from labkit.privacy.fused_noise import noisy_step  # Triton comes with PyTorch's CUDA builds alone

            for part, (name, weights) in enumerate(self.weights.views.items()):
                velocity = self.velocity and self.velocity.views[name]
                noisy_step(
                    weights, self.total.views[name], velocity, self.mask and self.mask.views[name],
                    keys=self._keys, step=self.step, deviation=self.deviation, rate=self.rate,
                    momentum=self.momentum, part=part,
                )  # fmt: skip
            return
        fill_normal(self._noise, self.noise_keys, self.done, self._noisy)
        start = 0
        for name, total in self.total.views.items():
            size = total[0].numel()
            noise = self._noise[:, start : start + size].view(total.shape)
            total.add_(noise * along(self.deviation, total))
            start += size
            if self.mask:
                total.mul_(self.mask.views[name])
            total.mul_(along(self.rate, total))
        if self.velocity:
            self.velocity.data.mul_(self.momentum).add_(self.total.data)
        self.weights.data.sub_((self.velocity or self.total).data)

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, copied to the CPU. Noise and draws follow from keys and the number of steps done.

        The keys are written where they derive from a seed anyway, to check that the run goes on with the same noise;
        never where they came from the operating system: their holder could subtract the noise.
        """
        held = {"weights": self.weights.data, "step": self.step, "slot": self.slot}
        held |= {"seen": self.seen, "clipped": self.clipped, "dropped": self.dropped}
        if self.velocity:
            held["velocity"] = self.velocity.data
        state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}
        state["plans"] = self._digests()
        if self.plan.noise_source != OS:
            state["noise_keys"] = torch.tensor(self.noise_keys)
        return state

    def _digests(self) -> Tensor:
        return torch.from_numpy(np.frombuffer(bytes.fromhex("".join(p.digest() for p in self.plans)), np.uint8).copy())

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            BadInput: the state is one of other plans, of other noise or of another span.
        """
        if not torch.equal(state["plans"], self._digests()):
            raise BadInput("plan", "another one than the checkpoint's", "the plan that the run began with")
        if "noise_keys" in state and state["noise_keys"].tolist() != list(self.noise_keys):
            raise BadInput("noise_keys", "other ones than the checkpoint's", "the keys that the run began with")
        if not self.first <= int(state["step"]) <= self.last:
            raise BadInput("step", int(state["step"]), f"{self.first} to {self.last}, of this trainer's span")
        self.weights.data.copy_(state["weights"])
        for name in ("step", "slot", "seen", "clipped", "dropped"):
            getattr(self, name).copy_(state[name])
        if self.velocity:
            self.velocity.data.copy_(state["velocity"])
        self.done = int(state["step"])


def along(values: Tensor, like: Tensor) -> Tensor:
    """One number for each member, [K], shaped to multiply a stack [K, ...]."""
    return values.view(-1, *([1] * (like.dim() - 1)))


def _flat_mask(weights: Flat, masks: Params | None) -> Flat | None:
    """The masks over all parameters; the weights that they mask are set to zero."""
    if not masks:
        return None
    every = {n: masks[n].to(w.dtype) if n in masks else torch.ones_like(w) for n, w in weights.views.items()}
    flat = Flat.of(every)
    weights.data.mul_(flat.data)
    return flat
