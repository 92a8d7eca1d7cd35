"""What all replicates of one epsilon share while they are run together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from labkit.data import Part, Split
from labkit.experiments.frontier.arms import Arm, Network, Plans, arms_of
from labkit.experiments.frontier.spec import SIMULATED, SMALL, FrontierSpec, search_space
from labkit.population import MLP, Params, concatenate, take, weights_per_member
from labkit.privacy import Plan
from labkit.privacy.noise import draw_key
from labkit.runs.events import Progress
from labkit.runs.experiment import Job, Resources
from labkit.streams import stream, stream_seed

THINNED = 0.1  # of the examples of the thinned class stay


@dataclass
class Batch:
    """Jobs of one epsilon, their data on the device, and what was drawn for them.

    Args:
        jobs: grid points with the same epsilon, and seeds.
        done, expected: network-steps, for progress.
        begun: what this process has put on record of each stage (`frontier.begun`): the number of its last part.
    """

    jobs: Sequence[Job]
    resources: Resources
    done: float = 0.0
    expected: float = 1.0
    begun: dict[str, int] = field(default_factory=dict)
    _keys: dict[tuple[int, str], int] = field(default_factory=dict)
    _mechanisms: dict[Plan, str] = field(default_factory=dict)
    _parents: dict[int, Params] = field(default_factory=dict)
    _shapes: dict[tuple[bool, bool, str, float], MLP] = field(default_factory=dict)

    @property
    def point(self) -> FrontierSpec:
        """Any of the grid points, for what all of them share."""
        return self.jobs[0].point

    @property
    def lead(self) -> int:
        """The place of the replicate that bears what belongs to the epsilon as a whole."""
        jobs = self.jobs
        return min(range(len(jobs)), key=lambda i: (jobs[i].seed, jobs[i].point.sparsity, jobs[i].point.space))

    @cached_property
    def data(self) -> Split:
        """The split on the device, as vectors, with the thinned class thinned."""
        held, device = self.resources.data, self.resources.device
        train = thinned(held.train, self.point, held.classes)
        train, selection, test = (Part(p.flat, p.y).to(device) for p in (train, held.selection, held.test))
        return replace(held, train=train, selection=selection, test=test)

    @cached_property
    def plans(self) -> Plans:
        return Plans(self.point, len(self.data.train))

    @cached_property
    def dense(self) -> MLP:
        return self.point.dense(self.resources.data)

    @cached_property
    def _arms(self) -> dict[tuple[float, str], list[Arm]]:
        cells = dict.fromkeys((job.point.sparsity[0], job.point.space[0]) for job in self.jobs)
        return {cell: arms_of(self.plans, *cell) for cell in cells}

    def arms(self, job: Job) -> list[Arm]:
        """What is compared at a job's grid point."""
        return self._arms[job.point.sparsity[0], job.point.space[0]]

    def draw_key(self, network: Network) -> int:
        """The key of a network's Poisson draws: one for all networks of its seed, so that they are paired."""
        label = network.draw or (SIMULATED if network.arm.kind == SIMULATED else "")
        name = network.seed, label
        if name not in self._keys:
            self._keys[name] = draw_key(self.point.noise_source, network.seed, label)
        return self._keys[name]

    def noise_key(self, network: Network) -> int:
        """The key of a network's noise: nothing else that is released or stored shares it."""
        arm = network.arm
        run = f"02/{self.mechanism(arm.plan)}/{arm.name}/{arm.sparsity}/{arm.space}/{network.purpose}"
        member = f"{network.rate}/{network.candidate}/{network.draw}"
        return arm.plan.noise_key(network.seed, run, member)

    def mechanism(self, plan: Plan) -> str:
        """Names what a plan is run on: another clip norm, width or split under the same seed is another release, whose
        noise would otherwise be the same at another scale."""
        if plan not in self._mechanisms:
            held, point = self.resources.data, self.point
            where = held.fingerprint, point.split_seed, point.thin_class, self.dense.widths
            self._mechanisms[plan] = digest(plan.digest(), *where)
        return self._mechanisms[plan]

    def shape(self, arm: Arm) -> MLP:
        """The architecture that really trains."""
        key = (arm.kind == SMALL, arm.masked, arm.space, arm.sparsity)
        if key not in self._shapes:
            self._shapes[key] = self._shape(arm)
        return self._shapes[key]

    def _shape(self, arm: Arm) -> MLP:
        if arm.kind == SMALL:
            return small(self.dense, arm.space, arm.sparsity)
        if arm.masked and arm.space == "nodes":
            return search_space(self.dense, arm.space, arm.sparsity, 0).candidates(self.parent(0), [0]).arch
        return self.dense

    def parameters(self, arm: Arm) -> int:
        """Numbers that the arm's network has or keeps."""
        if arm.masked:
            return search_space(self.dense, arm.space, arm.sparsity, 0).parameters()
        return weights_per_member(self.shape(arm).shapes())

    def parent(self, seed: int) -> Params:
        """The dense network of a seed before training, K = 1."""
        if seed not in self._parents:
            self._parents[seed] = self.dense.init([stream_seed(seed, "parent")], device=self.resources.device)
        return self._parents[seed]

    def population(self, networks: Sequence[Network]) -> tuple[Params, Params | None]:
        """Initial parameters and masks of networks of one shape, in their order."""
        arm = networks[0].arm
        drawn = list(dict.fromkeys((network.seed, network.candidate) for network in networks))
        by_seed: dict[int, list[int]] = {}
        for seed, candidate in drawn:
            by_seed.setdefault(seed, []).append(candidate)
        stacks, masks = [], []
        for seed, candidates in by_seed.items():
            if arm.kind == SMALL:
                stacks.append(self.shape(arm).init([stream_seed(seed, "small")], device=self.resources.device))
            elif arm.masked:
                some = search_space(self.dense, arm.space, arm.sparsity, seed).candidates(self.parent(seed), candidates)
                stacks.append(some.params)
                masks.append(some.masks)
            else:
                stacks.append(self.parent(seed))
        order = [pair for seed, candidates in by_seed.items() for pair in ((seed, c) for c in candidates)]
        where = [order.index((network.seed, network.candidate)) for network in networks]
        masked = take(concatenate(masks), where) if masks and masks[0] is not None else None
        return take(concatenate(stacks), where), masked

    def progress(self, what: str, rate: float | None = None) -> Progress:
        """How far the batch is."""
        (epsilon,) = self.point.epsilon
        at = epsilon if isinstance(epsilon, str) else f"epsilon {epsilon:g}"
        return Progress(min(self.done, self.expected), self.expected, f"{at}: {what}", rate)


def small(dense: MLP, space: str, sparsity: float) -> MLP:
    """A dense network of the size of a masked one: as many nodes a layer, or the width with the nearest number of
    parameters."""
    target = search_space(dense, space, sparsity, 0).parameters()
    depth = dense.depth - 1

    def of_width(width: int) -> MLP:
        return MLP((dense.widths[0], *(width,) * depth, dense.widths[-1]))

    return min(
        (of_width(width) for width in range(1, dense.widths[1] + 1)),
        key=lambda arch: abs(weights_per_member(arch.shapes()) - target),
    )


def thinned(train: Part, point: FrontierSpec, classes: tuple[str, ...]) -> Part:
    """The training set with a tenth of one class, drawn by the split's seed."""
    if not point.thin_class:
        return train
    members = (train.y == classes.index(point.thin_class)).nonzero().flatten()
    order = torch.randperm(len(members), generator=stream(point.split_seed, "thinned"))
    gone = members[order[round(THINNED * len(members)) :]]
    kept = torch.ones(len(train), dtype=torch.bool).index_fill_(0, gone, False)
    return Part(train.x[kept], train.y[kept])


def digest(*parts: object) -> str:
    """A short name of what was computed, by which a resumed run finds it."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


Table = dict[str, Tensor]
