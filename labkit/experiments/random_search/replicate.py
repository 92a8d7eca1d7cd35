"""What the phases of one replicate share: its parent, its candidates, its recipe and its data on the device."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from labkit.data import Split
from labkit.data.split import Part
from labkit.experiments.random_search.spec import RandomSearchSpec
from labkit.population import Params
from labkit.runs.events import Chunk, Event, Progress
from labkit.runs.experiment import Resources
from labkit.search import Candidates, Learned, Recipe, Space, learn
from labkit.search.space import Parent
from labkit.streams import stream_seed

ORDERS = ("order", "again")  # every candidate is trained in two data orders: how far do they agree?


@dataclass
class Replicate:
    """What the phases of one replicate share.

    Args:
        point: a Spec with one value for each grid field.
        seed: of the parent, the candidates and the data order, each from a stream of its own.
        data: the split on the device, flat for perceptrons.
    """

    point: RandomSearchSpec
    seed: int
    resources: Resources
    data: Split
    done: int = field(default=0)

    @cached_property
    def arch(self) -> Parent:
        return self.point.parent(self.resources.data)

    @cached_property
    def parent(self) -> Params:
        """The dense parent at initialisation, K = 1."""
        return self.arch.init([stream_seed(self.seed, "parent")], device=self.resources.device)

    @cached_property
    def space(self) -> Space:
        return self.point.search_space(self.arch, self.seed)

    @cached_property
    def recipe(self) -> Recipe:
        return self.point.recipe()

    def order_seed(self, order: str) -> int:
        return stream_seed(self.seed, order)

    @property
    def total(self) -> int:
        """Network-steps of the whole replicate: every trained candidate twice, the dense parent, the warm-ups."""
        networks = len(ORDERS) * (self.point.trained() + 1) + 1
        return networks * self.point.steps + self.point.scored() * self.point.score_after

    def learn(
        self, some: Candidates, order: str, key: str, drawn: Mapping[str, int] | None = None
    ) -> Generator[Event, None, Learned]:
        """`labkit.search.learn`, unless this chunk was finished before; stored as a chunk when it is."""
        if key in self.resources.chunks:
            learned = dict(self.resources.chunks[key])
        else:
            learned = yield from learn(
                some,
                self.recipe,
                self.data,
                self.order_seed(order),
                key=key,
                checkpoint=self.resources.checkpoints.get(key),
                drawn=drawn,
                progress=lambda here: Progress(self.done + here, self.total, "training candidates"),
            )
            yield Chunk(key, learned)
        self.done += self.point.steps * learned["test_accuracy"].shape[0]
        return learned


def replicate(point: RandomSearchSpec, seed: int, resources: Resources) -> Replicate:
    """The replicate with its data placed on the device."""
    flat = point.model == "mlp"

    def placed(part: Part) -> Part:
        return Part(part.flat if flat else part.x, part.y).to(resources.device)

    data = resources.data
    train, selection, test = (placed(part) for part in (data.train, data.selection, data.test))
    return Replicate(point, seed, resources, replace(data, train=train, selection=selection, test=test))
