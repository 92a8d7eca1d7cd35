"""Private training of embedding tables and the network above them, a step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from labkit.embeddings.mechanism import Method
from labkit.embeddings.methods import CHOSEN, METHODS
from labkit.embeddings.noise import DENSE, StepNoise
from labkit.embeddings.optim import SGD, Mover
from labkit.embeddings.tower import Tower, bag_mean
from labkit.embeddings.unit_gradients import unit_gradients
from labkit.errors import BadInput
from labkit.population.capture import CapturedStep
from labkit.population.params import Flat
from labkit.population.precision import matmul_precision
from labkit.population.train import WARM_UP
from labkit.privacy import Plan
from labkit.privacy.resume import checked, stamp
from labkit.privacy.sampling import PoissonSampler

AT_ONCE = 1 << 15  # examples scored at once
CAPTURED_FROM = 100  # steps; capturing takes as long as a hundred eager ones


class EmbeddingTrainer:
    """Moves tables and tower through Poisson-sampled batches of units, under one plan and one mechanism.

    A step: gradients of the drawn units, each clipped to C over tables and tower together; their sum, noised as the
    mechanism says, over the *expected* batch is what the optimiser sees. Nothing has the vocabulary among its axes but
    the tables, four bytes a row, and what the mechanism itself needs.

    On CUDA the step of a longer training is captured in a graph after a few eager ones.

    Args:
        tower, table: the initial network and tables, float32 [D, dim]; both are moved in place.
        ids: int64 [n, T], joint rows of the training examples, -1 in empty slots.
        labels: [n], 0 or 1.
        units: int64 [U, k], the examples of each protected unit; -1 in empty places.
        plan: its examples are the units.
        method: the mechanism and its settings.
        optimizer, learning_rate: of tables and tower; see `labkit.embeddings.optim`.
        draw_key, noise_key: of `Plan.draw_key` and `Plan.noise_key`.
        active: int64 [A], rising: the rows that FEST and AdaFEST+ train.
        vectors: float32 [D, E], frozen word vectors under a low-rank change.
        capture: whether to capture the step; None for wherever there is CUDA and capturing pays.
        tf32: whether forward and backward products may use TF32; norms, sums and noise never do.

    Raises:
        BadInput: units that are not the plan's in number, ids outside the tables, a mechanism without what it needs.
    """

    def __init__(
        self,
        tower: Tower,
        table: Tensor,
        ids: Tensor,
        labels: Tensor,
        units: Tensor,
        plan: Plan,
        method: Method,
        *,
        optimizer: str = SGD,
        learning_rate: float,
        draw_key: int,
        noise_key: int,
        active: Tensor | None = None,
        vectors: Tensor | None = None,
        capture: bool | None = None,
        tf32: bool = False,
    ) -> None:
        self.tower, self.table, self.plan, self.method, self.vectors = tower, table, plan, method, vectors
        self.ids, self.labels, self.units, self.tf32 = ids, labels.float(), units, tf32
        self._refuse(active)
        self.device, self._keys = table.device, (draw_key, noise_key)
        noise = StepNoise(noise_key, self.device)
        self.tables, self.dense = (
            Mover(table, optimizer, learning_rate),
            Mover(tower.flat.data, optimizer, learning_rate),
        )
        self.mechanism = METHODS[method.name](self.tables, plan, method, noise, active)
        self.noise, self.compact = noise, None
        if active is not None:
            self.compact = torch.full((len(table),), -1, device=self.device)
            self.compact[active] = torch.arange(len(active), device=self.device)
        self.total = Flat(1, tower.shapes, device=self.device, dtype=torch.float32)
        self.clip = torch.tensor([plan.clip_norm], dtype=torch.float32, device=self.device)
        self.drawn = drawn_units(plan.examples, plan.batch_size, plan.steps, draw_key).to(self.device)
        self.distinct = units.shape[1] == 1 and not tower.bag and bool((ids >= 0).all())
        self.done = 0
        self.step = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.seen, self.clipped, self.dropped = torch.zeros(3, 1, dtype=torch.int64, device=self.device)
        worth = self.device.type == "cuda" and plan.steps >= CAPTURED_FROM
        self.capture = worth if capture is None else capture
        self._graph: CapturedStep | None = None

    def _refuse(self, active: Tensor | None) -> None:
        if len(self.units) != self.plan.examples:
            raise BadInput("examples", self.plan.examples, f"{len(self.units)}, the number of units")
        if (self.method.name in CHOSEN) != (active is not None):
            raise BadInput(
                "method", self.method.name, f"rows chosen beforehand for {' and '.join(CHOSEN)}, and for them alone"
            )
        low, high = int(self.ids.min()), int(self.ids.max())
        if low < -1 or high >= len(self.table):
            raise BadInput(
                "ids", f"{low} to {high}", f"rows of the tables, 0 to {len(self.table) - 1}, or -1 where empty"
            )
        if not bool((self.ids >= 0).any(1).all()):
            raise BadInput("ids", "an example without a row", "at least one row in each example")

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.plan.steps

    @property
    def captured(self) -> bool:
        """Whether steps are replayed from a CUDA graph."""
        return self._graph is not None

    def advance(self, steps: int) -> None:
        """Run up to `steps` more steps, fewer at the end of the plan."""
        for _ in range(min(steps, self.steps - self.done)):
            with matmul_precision(False), torch.no_grad():
                if not self.capture or self.done < WARM_UP:
                    self._one()
                else:
                    if self._graph is None:
                        self._graph = CapturedStep(self._one)
                    self._graph.replay()
            self.done += 1

    def _one(self) -> None:
        units = self.drawn.index_select(0, self.step)[0]
        real = units >= 0
        members = self.units.index_select(0, units.clamp(min=0))
        present = (members >= 0) & real[:, None]
        at = members.clamp(min=0).view(-1)
        ids = self.ids.index_select(0, at).view(*members.shape, -1).masked_fill(~present[..., None], -1)
        labels = self.labels.index_select(0, at).view(members.shape)
        self.mechanism.before(ids.view(-1), self.step, self.done)
        self.total.data.zero_()
        found = unit_gradients(
            self.tower, self.table, ids, labels, real.float(), clip=self.clip,
            out={name: view[0] for name, view in self.total.views.items()},
            compact=self.compact, vectors=self.vectors, distinct=self.distinct, tf32=self.tf32,
        )  # fmt: skip
        self.mechanism.update(found, self.step, self.done)
        self._move_tower()
        self.seen.add_(real.sum())
        self.clipped.add_(found.clipped)
        self.dropped.add_(found.dropped)
        self.step.add_(1)

    def _move_tower(self) -> None:
        if deviation := self.mechanism.deviation:
            if self.device.type == "cuda":
                from labkit.embeddings.fused_rows import add_normal  # Triton comes with PyTorch's CUDA builds alone

                add_normal(self.total.data, deviation, key=self.noise.held[DENSE], step=self.step, part=0)
            else:
                self.total.data.add_(self.noise.normal(DENSE, self.done, len(self.total.data)), alpha=deviation)
        self.dense.all(self.total.data.div_(self.plan.batch_size))

    def flush(self) -> None:
        """Bring the tables to where the guarantee holds: before they are evaluated, shown, stored or released."""
        with torch.no_grad():
            self.mechanism.flush(self.done)
        self.mechanism.check()

    @torch.no_grad()
    def logits(self, ids: Tensor) -> Tensor:
        """Logits of examples, float32 [n] on the CPU; flushes first.

        Args:
            ids: int64 [n, T], joint rows on the tables' device.
        """
        self.flush()
        with matmul_precision(False):
            found = [self._logits(part) for part in ids.split(AT_ONCE)]
        return torch.cat(found).cpu()

    def _logits(self, ids: Tensor) -> Tensor:
        real, at = ids >= 0, ids.clamp(min=0)
        frozen = None if self.vectors is None else bag_mean(self.vectors, at, real)
        return self.tower.forward(self.table[at], real, frozen).logits

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs, on the CPU. It is private: the tables may lack noise that is still owed."""
        self.mechanism.check()
        held = {"table": self.table, "tower": self.tower.flat.data, "counts.seen": self.seen}
        held |= {"counts.clipped": self.clipped, "counts.dropped": self.dropped}
        held |= {"survivors": self.mechanism.survivors, "touched": self.mechanism.touched}
        for name, mover in (("table", self.tables), ("tower", self.dense)):
            if mover.squares is not None:
                held[f"{name}.squares"] = mover.squares
        state = {name: tensor.detach().to("cpu", copy=True) for name, tensor in held.items()}
        state |= {f"mechanism.{name}": tensor for name, tensor in self.mechanism.state().items()}
        return state | stamp(self.plan, self._keys, [self.done])

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            BadInput: the state is one of another plan or of other keys.
        """
        (self.done,) = checked(state, self.plan, self._keys)
        self.step.fill_(self.done)
        self.table.copy_(state["table"])
        self.tower.flat.data.copy_(state["tower"])
        for name in ("seen", "clipped", "dropped"):
            getattr(self, name).copy_(state[f"counts.{name}"])
        self.mechanism.survivors.copy_(state["survivors"])
        self.mechanism.touched.copy_(state["touched"])
        for name, mover in (("table", self.tables), ("tower", self.dense)):
            if mover.squares is not None:
                mover.squares.copy_(state[f"{name}.squares"])
        kept = {name: value for name, value in state.items() if name.startswith("mechanism.")}
        self.mechanism.load({name.removeprefix("mechanism."): value for name, value in kept.items()})


@lru_cache(maxsize=32)
def drawn_units(examples: int, batch_size: int, steps: int, draw_key: int) -> Tensor:
    """The drawn units of each step, int32 [steps, P], -1 in empty places; P holds the largest draw. Not to be written.

    Remembered, since methods that are compared share their draws.
    """
    sampler = PoissonSampler(examples, batch_size / examples, [draw_key])
    draws = sampler.draw(steps)
    if len(draws.rows) > steps:  # a draw took more than one slot
        draws = sampler.draw(steps, padded=8 * -(-int(draws.sizes().max()) // 8))
    return draws.rows[:, 0]
