"""Fine-tuning the adapters of a language model under a privacy plan: sample units, clip, add noise, DP-Adam."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population.capture import CapturedStep
from labkit.population.params import Flat
from labkit.privacy import Plan
from labkit.privacy.per_example import add_noise, clipped_sum
from labkit.privacy.resume import restored, saved
from labkit.text.first_step import Snapshot, check_first_step
from labkit.text.gradients import Examples, compiled_layers, mean_token_loss, summed_gradient, unit_gradients
from labkit.text.language import Tokens
from labkit.text.lora import Adapters

WARM_UP = 0.05  # of the steps: the learning rate rises
BETAS = (0.9, 0.99)  # a second moment that a hundred steps can fill
WARM_UP_SLOTS = 3  # before a graph is recorded


class PrivateTuner:
    """Advances adapters through Poisson-sampled batches of units.

    A step: each unit's gradient is clipped, the clipped ones are summed, noise is added to the sum, and the noisy sum
    over the *expected* batch is what Adam sees (DP-Adam; Li et al. 2110.05679). The learning rate rises for a twentieth
    of the steps and then falls to zero in a line, whatever the data. The first step checks itself: adapters moved,
    frozen weights did not, and the noise is as strong as the plan says.

    Args:
        adapters: their weights are the start, and follow every step.
        examples: on the model's device; as many units as the plan has examples.
        plan: sampler, clip norm and noise; a plan without noise trains plainly, or clipped.
        learning_rate: the highest.
        draw_key, noise_key: of `Plan.draw_key` and `Plan.noise_key`.
        micro_batch: most units whose gradients are held at once; halved where memory does not suffice, and nothing
            else changes by that.
        fast: compile the model's layers and capture a micro-batch in a CUDA graph; None for yes on CUDA.

    Raises:
        BadInput: more or fewer units than the plan's.
    """

    def __init__(
        self,
        adapters: Adapters,
        examples: Examples,
        plan: Plan,
        *,
        learning_rate: float,
        draw_key: int,
        noise_key: int,
        micro_batch: int,
        fast: bool | None = None,
    ) -> None:
        if len(examples.units) != plan.examples:
            raise BadInput("examples", plan.examples, f"{len(examples.units)}, the number of units")
        self.adapters, self.examples, self.plan = adapters, examples, plan
        self.learning_rate, self.draw_key, self.noise_key = learning_rate, draw_key, noise_key
        self.device = examples.units.device
        start = {name: layer.weight.detach().float()[None] for name, layer in adapters.layers.items()}
        self.weights = Flat.of(start)
        self.total = Flat(1, adapters.shapes(), device=self.device, dtype=torch.float32)
        self.optimizer = torch.optim.Adam([self.weights.data], lr=learning_rate, betas=BETAS)
        self.done, self.clipped, self.dropped, self.seen = 0, 0, 0, 0
        self.measured_noise: float | None = None
        self.fast = self.device.type == "cuda" if fast is None else fast
        self.slot = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.counts = torch.zeros(3, dtype=torch.int64, device=self.device)  # of the present step
        self._lay(micro_batch)

    def _lay(self, micro_batch: int) -> None:
        """Lay the draws out in slots of at most `micro_batch` units, such that a usual draw fills its slots evenly.

        Of 44 draws one is larger than usual, and takes a slot more: that costs less than wider slots for all.
        """
        mean, rate = self.plan.batch_size, self.plan.sample_rate
        usual = min(self.plan.examples, math.ceil(mean + 2 * math.sqrt(mean * (1 - rate))))
        self.micro_batch = math.ceil(usual / math.ceil(usual / micro_batch))
        draws = self.plan.sampler([self.draw_key]).draw(self.plan.steps, self.micro_batch)
        self.rows, self.ends = draws.rows[:, 0].to(self.device), draws.ends
        self._graph: CapturedStep | None = None
        self._eager = 0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    @property
    def captured(self) -> bool:
        """Whether micro-batches are replayed from a CUDA graph."""
        return self._graph is not None

    @property
    def sums(self) -> dict[str, Tensor]:
        """The buffers of the (noisy) sum by adapter, [out, in]."""
        return {name: view[0] for name, view in self.total.views.items()}

    def advance(self, steps: int) -> None:
        """Run up to `steps` more steps, fewer at the end of the plan.

        Raises:
            LabError: the first step's checks failed: something is wrong with the set-up, and nothing was released.
        """
        for _ in range(min(steps, self.steps - self.done)):
            before = Snapshot.of(self.adapters, self.weights.data) if self.done == 0 else None
            self._gather()
            self._privatise(check=before is not None)
            self._move()
            self.done += 1
            if before is not None:
                check_first_step(
                    self.adapters, self.weights.data, before,
                    plan=self.plan, measured_noise=self.measured_noise, seen=self.seen,
                )  # fmt: skip

    def _gather(self) -> None:
        """The clipped sum of this step's draw; a micro-batch that does not fit is halved and the step begun anew."""
        while True:
            try:
                first, end = (self.ends[self.done - 1] if self.done else 0), self.ends[self.done]
                self.slot.fill_(first)
                self.total.data.zero_()
                self.counts.zero_()
                for _ in range(first, end):
                    self._run()
                break
            except torch.cuda.OutOfMemoryError:
                if self.micro_batch == 1:
                    raise
            self._graph = None
            torch.cuda.empty_cache()
            self._lay(self.micro_batch // 2)
        seen, clipped, dropped = self.counts.tolist()
        self.seen, self.clipped, self.dropped = self.seen + seen, self.clipped + clipped, self.dropped + dropped

    def _run(self) -> None:
        """One slot: in a CUDA graph after a few ordinary ones, since launching its kernels takes longer than they."""
        if self._graph is None and self.fast and self._eager >= WARM_UP_SLOTS and self.device.type == "cuda":
            with compiled_layers(self.adapters):
                self._graph = CapturedStep(self._piece)
        if self._graph is not None:
            self._graph.replay()
            return
        with compiled_layers(self.adapters) if self.fast else contextlib.nullcontext():
            self._piece()
        self._eager += 1

    def _piece(self) -> None:
        """Add a slot's clipped gradients to the sum."""
        rows = self.rows.index_select(0, self.slot)[0]
        real, units = rows >= 0, rows.clamp(min=0).long()
        weight = real.float()
        self.counts[0].add_(real.sum())
        if math.isinf(self.plan.clip_norm):
            summed_gradient(self.adapters, self.examples, units, weight, self.sums)
        else:
            gradients, _ = unit_gradients(self.adapters, self.examples, units)
            found = clipped_sum(gradients, self.sums, clip=self.plan.clip_norm, weight=weight, fresh=False)
            self.counts[1].add_(found.clipped)
            self.counts[2].add_(found.dropped)
        self.slot.add_(1)

    def _privatise(self, *, check: bool) -> None:
        deviation = self.plan.noise_multiplier * self.plan.sensitivity if self.plan.private else 0.0
        before = self.total.data.clone() if check and deviation else None
        # One buffer, so that the noise is one stream of numbers and one kernel.
        add_noise({"sum": self.total.data}, deviation=deviation, key=self.noise_key, step=self.done)
        if before is not None:
            self.measured_noise = float((self.total.data - before).std()) / self.plan.sensitivity

    def _move(self) -> None:
        warm = max(1, round(WARM_UP * self.steps))
        rate = min((self.done + 1) / warm, (self.steps - self.done) / max(1, self.steps - warm), 1.0)
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * rate
        self.weights.data.grad = self.total.data / self.plan.batch_size
        self.optimizer.step()
        self._publish()

    def _publish(self) -> None:
        self.adapters.assign({name: view[0] for name, view in self.weights.views.items()})

    @torch.no_grad()
    def loss(self, prompts: Tokens, queries: Tokens, batch: int) -> float:
        """Mean over queries of `mean_token_loss`; on the selection split, which is not protected."""
        parts = [
            mean_token_loss(self.adapters, prompts.rows(rows), queries.rows(rows)).double().cpu()
            for rows in torch.arange(len(queries), device=self.device).split(batch)
        ]
        return float(torch.cat(parts).mean())

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, on the CPU (`labkit.privacy.resume.saved`)."""
        counts = self.done, self.seen, self.clipped, self.dropped
        return saved(self.weights.data, self.optimizer, self.plan, (self.draw_key, self.noise_key), counts)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            BadInput: the state is one of another plan or of other keys.
        """
        keys = self.draw_key, self.noise_key
        counts = restored(state, self.weights.data, self.optimizer, self.plan, keys)
        self.done, self.seen, self.clipped, self.dropped = counts
        self._publish()
