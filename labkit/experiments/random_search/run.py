"""One replicate: a parent, its candidates scored, all of them trained, and what they reached."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from labkit.data import Split
from labkit.data.split import Part
from labkit.experiments.base import Resources
from labkit.experiments.random_search.spec import THRESHOLD, RandomSearchSpec
from labkit.generators import relay
from labkit.population import Params, chunks, evaluate
from labkit.runs.events import Artifact, Chunk, Event, Progress, Result
from labkit.search import Candidates, Learned, Recipe, Space, best, fits, learn, score, steps_to
from labkit.search.learn import curve_point
from labkit.search.space import Parent
from labkit.sparsity import stream_seed

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
    parts = placed(data.train), placed(data.selection), placed(data.test)
    return Replicate(point, seed, resources, Split(data.name, data.fingerprint, *parts, data.classes, data.public))


def run(point: RandomSearchSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate (see `labkit.experiments.base.Experiment`)."""
    from labkit.experiments.random_search.pictures import pictures

    r = replicate(point, seed, resources)
    dense = yield from r.learn(Candidates(r.arch, r.parent, None), "order", "dense", {"dense": 0})
    scores = yield from score_all(r)
    found = best(scores)
    # the found network first, so that its curve is seen early; it is one of the candidates, or one more
    which = [found, *(i for i in range(point.trained()) if i != found)]
    learned: dict[str, Learned] = {}
    for order in ORDERS:
        learned[order] = yield from learn_all(r, order, which)
    yield Artifact("scores", {"initial_loss": scores})
    yield Artifact("candidates", candidate_table(r, which, scores, learned, dense))
    if seed == point.seed and point.landscape_size:
        yield from pictures(r, found)
    first = learned[ORDERS[0]]
    trained = slice(0, None) if found < point.trained() else slice(1, None)  # the mean is over the first draws alone
    means = torch.stack([first[name][:, trained].mean(1) for name in ("selection_accuracy", "selection_loss")], 1)
    for step, row in zip(r.recipe.looks(), means, strict=True):
        yield curve_point("random", step, row)
    arms = {"found": slice(0, 1), "first": slice(which.index(0), which.index(0) + 1), "random": trained}
    threshold = THRESHOLD * float(dense["selection_accuracy"][-1, 0])
    parameters = r.space.parameters()
    which_scores = scores[torch.tensor(which)]
    for arm, members in arms.items():
        yield arm_result(r, arm, first, members, which_scores[members], threshold, parameters)
    initial = evaluate(r.arch, r.parent, r.data.selection.x, r.data.selection.y).loss.cpu()
    full = sum(tensor[0].numel() for tensor in r.parent.values())
    yield arm_result(r, "dense", dense, slice(0, 1), initial, threshold, full)


def score_all(r: Replicate) -> Generator[Event, None, Tensor]:
    """The score of every candidate, [budget]."""
    size = fits(r.space, r.parent, r.point.batch_size, r.point.scored())
    parts = []
    for which in chunks(r.point.scored(), size):
        key = f"scores-{which.start}-{which.stop}"
        if key in r.resources.chunks:
            parts.append(r.resources.chunks[key]["score"])
        else:
            steps = score(r.space, r.parent, which, r.data, r.recipe, r.point.score_after, r.order_seed("order"))
            parts.append((yield from relay(steps, lambda rate: Progress(r.done, r.total, "warming up", rate))))
            yield Chunk(key, {"score": parts[-1]})
        r.done += r.point.score_after * len(which)
        yield Progress(r.done, r.total, f"scored {which.stop} of {r.point.scored()} candidates")
    return torch.cat(parts)


def learn_all(r: Replicate, order: str, which: list[int]) -> Generator[Event, None, Learned]:
    """What the candidates `which` learned in one data order, in chunks that fit."""
    parts: list[Learned] = []
    for places in chunks(len(which), fits(r.space, r.parent, r.point.batch_size, len(which))):
        members = [which[place] for place in places]
        drawn = {}
        if order == ORDERS[0]:
            named = {"found": which[0], "first": 0}
            drawn = {arm: members.index(number) for arm, number in named.items() if number in members}
        some = r.space.candidates(r.parent, members)
        parts.append((yield from r.learn(some, order, f"{order}-{places.start}-{places.stop}", drawn)))
    return {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}


def candidate_table(
    r: Replicate, which: list[int], scores: Tensor, learned: Mapping[str, Learned], dense: Learned
) -> dict[str, Tensor]:
    """What is kept of every trained candidate, in the order of their numbers."""
    order = torch.tensor(which).argsort()
    first, again = (learned[name] for name in ORDERS)
    threshold = THRESHOLD * float(dense["selection_accuracy"][-1, 0])
    steps, censored = steps_to(threshold, first["selection_accuracy"], r.recipe.looks())
    return {
        "index": torch.tensor(which)[order],
        "initial_loss": scores[torch.tensor(which)][order],
        "test_accuracy": first["test_accuracy"][order],
        "test_accuracy_again": again["test_accuracy"][order],
        "steps_to_threshold": steps[order],
        "censored": censored[order],
    }


def arm_result(
    r: Replicate, arm: str, learned: Learned, members: slice, initial: Tensor, threshold: float, parameters: int
) -> Result:
    """The stored numbers of one arm: means over its members."""
    steps, censored = steps_to(threshold, learned["selection_accuracy"][:, members], r.recipe.looks())
    return Result(
        arm,
        {
            "test_accuracy": float(learned["test_accuracy"][members].mean()),
            "test_loss": float(learned["test_loss"][members].mean()),
            "selection_accuracy": float(learned["selection_accuracy"][-1, members].mean()),
            "initial_loss": float(initial.mean()),
            "steps_to_threshold": float(steps.mean()),
            "censored": float(censored.float().mean()),
            "parameters": parameters,
            "trained": int(steps.shape[0]),
            "test_images": len(r.data.test),
            "captured": bool(learned["captured"][members].all()),
        },
    )
