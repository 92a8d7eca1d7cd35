"""What both private trainings of an encoder share: the draw, the noise, DP-Adam, and going on after a stop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from labkit.errors import BadInput
from labkit.population.precision import matmul_precision
from labkit.privacy import Plan
from labkit.privacy.per_example import add_noise
from labkit.privacy.resume import restored, saved
from labkit.retrieval.encoder import Encoder, Tokens, lengths_of
from labkit.retrieval.train import check_rates, rate_at

BETAS = (0.9, 0.99)  # a second moment that a hundred steps can fill


class PrivateEncoder(ABC):
    """Trains an encoder in place, a step at a time, from Poisson-sampled units of private pairs.

    A step: a sum over the drawn units that one unit, added or removed, moves by at most the plan's clip norm; noise on
    the sum; the noisy sum over the *expected* batch is what Adam sees. The rate rises and falls as in
    `labkit.retrieval.train`, whatever the data. An empty draw is a step of noise alone.

    Args:
        encoder: its weights are the start and follow every step.
        queries: the pairs' queries, private; documents: the index, public.
        unit_rows: int64 [units, k], the pairs of each protected unit, at most k; -1 in empty places.
        pair_documents: int64 [pairs], each pair's document.
        plan: its examples are the units.
        draw_key, noise_key: of `Plan.draw_key` and `Plan.noise_key`.
        seed: of the choices that need no secrecy, such as which public documents serve as wrong answers.
        micro_batch: per-unit gradients held at once; halved where a GPU's memory does not suffice.

    Raises:
        BadInput: units that are not the plan's in number, without a pair, or with pairs of several documents; a rate or
            temperature that cannot be.
    """

    def __init__(
        self,
        encoder: Encoder,
        queries: Tokens,
        documents: Tokens,
        unit_rows: np.ndarray | Tensor,
        pair_documents: np.ndarray | Tensor,
        plan: Plan,
        *,
        learning_rate: float,
        temperature: float,
        draw_key: int,
        noise_key: int,
        seed: int,
        micro_batch: int = 64,
    ) -> None:
        check_rates(learning_rate, temperature)
        if micro_batch < 1:
            raise BadInput("micro_batch", micro_batch, "at least 1")
        self.unit_rows, self.documents_of = torch.as_tensor(unit_rows), torch.as_tensor(pair_documents)
        self._refuse(plan)
        self.encoder, self.plan, self.seed, self.micro_batch = encoder, plan, seed, micro_batch
        self.learning_rate, self.temperature = learning_rate, temperature
        self.draw_key, self.noise_key = draw_key, noise_key
        device = self.device = encoder.vectors.device
        self.q_ids, self.q_mask, self.q_lengths = (
            queries.ids.to(device),
            queries.mask.to(device),
            lengths_of(queries.mask),
        )
        self.d_ids, self.d_mask = documents.ids.to(device), documents.mask.to(device)
        self.d_lengths = lengths_of(documents.mask)
        self.weights = torch.cat([weight.flatten() for weight in encoder.params().values()])
        self.total = torch.zeros_like(self.weights)
        self.params, self.sums = self._views(self.weights), self._views(self.total)
        self.optimizer = torch.optim.Adam([self.weights], lr=learning_rate, betas=BETAS)
        draws = plan.sampler([draw_key]).draw(plan.steps)
        self.rows, self.ends = draws.rows[:, 0].long(), draws.ends
        self.done, self.seen, self.clipped, self.dropped = 0, 0, 0, 0

    def _refuse(self, plan: Plan) -> None:
        real = self.unit_rows >= 0
        if len(real) != plan.examples:
            raise BadInput("examples", plan.examples, f"{len(real)}, the number of units")
        if not bool(real[:, 0].all()):
            raise BadInput("unit_rows", "a unit whose first place is empty", "at least one pair in each unit")
        named = self.documents_of[self.unit_rows.clamp(min=0)]
        if bool(((named != named[:, :1]) & real).any()):
            raise BadInput(
                "unit_rows", "a unit with pairs of several documents", "pairs, or documents with their pairs"
            )

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        sizes = {name: weight.shape for name, weight in self.encoder.named_parameters()}
        parts = flat.split([size.numel() for size in sizes.values()])
        return {name: part.view(size) for part, (name, size) in zip(parts, sizes.items(), strict=True)}

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    def drawn(self, step: int) -> Tensor:
        """The units that step `step` (from 0) draws, int64 on the CPU: as secret as the noise."""
        rows = self.rows[(self.ends[step - 1] if step else 0) : self.ends[step]].flatten()
        return rows[rows >= 0]

    def advance(self, steps: int) -> None:
        """Run up to `steps` more steps, fewer at the end of the plan."""
        deviation = self.plan.noise_multiplier * self.plan.sensitivity if self.plan.private else 0.0
        for _ in range(min(steps, self.steps - self.done)):
            # Not even in the gradients: with a unit more, another kernel may round all the others' differently.
            with matmul_precision(False):
                self.gather(self.drawn(self.done))
            add_noise({"sum": self.total}, deviation=deviation, key=self.noise_key, step=self.done)
            self.optimizer.param_groups[0]["lr"] = self.learning_rate * rate_at(self.done, self.steps)
            self.weights.grad = self.total / self.plan.batch_size
            self.optimizer.step()
            self._publish()
            self.done += 1

    def gather(self, units: Tensor) -> None:
        """Write the clipped sum of these units, int64 [b], to `sums`; exact, so as private as the pairs.

        A micro-batch that does not fit a GPU's memory is halved, and the sum begun anew.
        """
        while True:
            try:
                self.total.zero_()
                clipped, dropped = self._sum(units)
                break
            except torch.cuda.OutOfMemoryError:
                if self.micro_batch == 1:
                    raise
                self.micro_batch //= 2
            torch.cuda.empty_cache()
        self.seen, self.clipped, self.dropped = self.seen + len(units), self.clipped + clipped, self.dropped + dropped

    @abstractmethod
    def _sum(self, units: Tensor) -> tuple[int, int]:
        """Add the units' clipped sum to `sums`; how many were clipped, and how many dropped as not finite."""

    def _publish(self) -> None:
        with torch.no_grad():
            for name, weight in self.encoder.named_parameters():
                weight.copy_(self.params[name])

    def _queries(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """ids and mask of pairs [...], no longer than they need: [..., T]."""
        end, pairs = int(self.q_lengths[pairs].max()), pairs.to(self.device)
        return self.q_ids[pairs, :end], self.q_mask[pairs, :end]

    def _documents(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same of documents."""
        end, rows = int(self.d_lengths[rows].max()), rows.to(self.device)
        return self.d_ids[rows, :end], self.d_mask[rows, :end]

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, on the CPU (`labkit.privacy.resume.saved`)."""
        counts = self.done, self.seen, self.clipped, self.dropped
        return saved(self.weights, self.optimizer, self.plan, (self.draw_key, self.noise_key), counts)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            BadInput: the state is one of another plan or of other keys.
        """
        counts = restored(state, self.weights, self.optimizer, self.plan, (self.draw_key, self.noise_key))
        self.done, self.seen, self.clipped, self.dropped = counts
        self._publish()
