"""What fine-tunes that are run together share: the public network, the images it takes, plans and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from labkit.data import Part
from labkit.experiments.finetune.plans import method_of, plan_of
from labkit.experiments.finetune.spec import FinetuneSpec
from labkit.finetune.method import Moves, Setting
from labkit.finetune.models import load_network
from labkit.finetune.network import Network
from labkit.finetune.tail import AT_ONCE
from labkit.privacy import Plan
from labkit.runs.events import Progress
from labkit.runs.experiment import Job, Resources
from labkit.runs.inputs import weights
from labkit.runs.naming import canonical
from labkit.streams import stream


@dataclass
class Lab:
    """Jobs of methods of fixed size or of choices of rows, and what was loaded for them.

    Args:
        done, expected: work in steps of one network, for progress alone.
        tuned: learning rates found so far, by what they are for.
    """

    jobs: Sequence[Job]
    resources: Resources
    done: float = 0.0
    expected: float = 1.0
    tuned: dict[str, float] = field(default_factory=dict)
    _features: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return self.resources.device

    @property
    def point(self) -> FinetuneSpec:
        """Any of the points, for what all of them share."""
        return self.jobs[0].point

    @cached_property
    def network(self) -> Network:
        """The public network with a head for the private classes, on the device."""
        return load_network(self.point.model, len(self.resources.data.classes)).to(self.device)

    @cached_property
    def first(self) -> int:
        """The first stage of which anything may move."""
        return self.network.late(self.point.layers)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """Training, selection and test images as the public network takes them, on the device."""
        data = self.resources.data
        held = {"train": data.train, "selection": data.selection, "test": data.test}
        return {
            name: Part(self.network.transform(data.pixels(part)).to(self.device), part.y.to(self.device))
            for name, part in held.items()
        }

    def features(self, first: int, part: str) -> Tensor:
        """A part's images as stage `first` gets them: computed once, as nothing before it moves in any network."""
        if not first:
            return self.parts[part].x
        if (first, part) not in self._features:
            at = max((stage for stage, of in self._features if of == part and stage < first), default=0)
            frozen = self.network.stages[at:first]
            with torch.no_grad():
                made = [frozen(images) for images in self.features(at, part).split(AT_ONCE)]
            self._features[first, part] = torch.cat(made)
        return self._features[first, part]

    @property
    def examples(self) -> int:
        """n, the size of the training split."""
        return len(self.resources.data.train)

    def moves(self, point: FinetuneSpec, seed: int) -> Moves:
        """What a point's method moves: free, since it looks at public weights alone."""
        return method_of(point).moves(self.setting(point, seed))

    def setting(self, point: FinetuneSpec, seed: int, candidate: int = 0) -> Setting:
        """What a point's method is told; random rows and adapters come from the seed."""
        generator = stream(seed, "rows", point.scope[0], str(point.sparsity[0]), candidate)
        return Setting(
            self.network, self.first, point.sparsity[0], point.scope[0], point.lora_rank, generator
        )  # fmt: skip

    def head(self, seed: int) -> dict[str, Tensor]:
        """The new head of a seed: the same for every method."""
        drawn = self.network.drawn_head(stream(seed, "head"))
        return {name: tensor.to(self.device) for name, tensor in drawn.items()}

    def plan(self, point: FinetuneSpec) -> Plan:
        """What a point's fine-tune may do, its choice of rows included."""
        return plan_of(point, self.examples)

    def progress(self, what: str) -> Progress:
        """How far the jobs are."""
        return Progress(min(self.done, self.expected), self.expected, what)


def draw_label(lab: Lab, point: FinetuneSpec) -> str:
    """What names Poisson draws: paired methods, sparsities and epsilons of a seed share their batches."""
    shared = {name: getattr(point, name) for name in ("batch_size", "split_seed")}
    return f"05/{lab.resources.data.fingerprint}/{canonical(shared)}"


def release_label(lab: Lab, point: FinetuneSpec, rate: float) -> str:
    """What names noise: everything that makes another release, other files under a model's name included."""
    mechanism = lab.plan(point).digest()
    return f"{draw_label(lab, point)}/{mechanism}/{rate:g}/{canonical(point.hashed())}{weights(point)}"


def keys(lab: Lab, point: FinetuneSpec, seed: int, rate: float) -> dict[str, int]:
    """The keys of a fine-tune's draws and noise. Its stages share them: a step is named by its number in the plan."""
    plan = lab.plan(point)
    return {
        "draw_key": plan.draw_key(seed, draw_label(lab, point)),
        "noise_key": plan.noise_key(seed, release_label(lab, point, rate), 0),
    }
