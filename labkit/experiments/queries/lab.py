"""What all epsilons of one seed and split share: the model, the texts as tokens, the plans, and who is protected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from labkit.data.models import find_model
from labkit.data.pairs import Pairs, PairSplit, capped, split_pairs
from labkit.experiments.queries.plans import Plans
from labkit.experiments.queries.spec import BASELINES, PAIR, QueriesSpec, called
from labkit.privacy import Plan
from labkit.retrieval.encoder import Encoder
from labkit.runs.events import Event, Progress
from labkit.runs.experiment import Job, Resources
from labkit.runs.naming import canonical
from labkit.text.gradients import Examples
from labkit.text.language import Language, Tokens, encode_plain, encode_prompts, encode_queries, load_language
from labkit.text.lora import Adapters

Told = tuple[int, Event]  # an event with the place of its job

HEADS = 4
LEAD = 0  # the place of the job that bears what belongs to no single epsilon
MICRO = {"cpu": 64, "cuda": 576}  # units whose gradients are held at once
AT_ONCE = {"cpu": 256, "cuda": 4096}  # queries written at once


@dataclass
class Lab:
    """Jobs that differ in epsilon alone, and what was loaded and drawn for them.

    Args:
        done, expected: work in seconds of some machine, for progress alone.
    """

    jobs: Sequence[Job]
    resources: Resources
    done: float = 0.0
    expected: float = 1.0

    @property
    def point(self) -> QueriesSpec:
        """Any of the grid points, for what all of them share."""
        return self.jobs[0].point

    @property
    def seed(self) -> int:
        return self.jobs[0].seed

    @property
    def device(self) -> torch.device:
        return self.resources.device

    @cached_property
    def split(self) -> PairSplit:
        return split_of(self.point, self.resources)

    @cached_property
    def units(self) -> np.ndarray:
        """int64 [units, k]: the training pairs of each protected unit."""
        return units_of(self.point, self.split)

    @cached_property
    def plans(self) -> Plans:
        return Plans(self.point, len(self.units))

    @cached_property
    def language(self) -> Language:
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        return load_language(find_model(self.point.model), self.device, dtype)

    @cached_property
    def adapters(self) -> Adapters:
        point = self.point
        return Adapters(self.language, rank=point.lora_rank, targets=point.lora_targets, seed=self.seed)

    @cached_property
    def prompted(self) -> tuple[Tokens, int]:
        """The prompt of every document, on the device, and how many documents were cut for it."""
        point = self.point
        found, cut = encode_prompts(self.language, self.split.documents, point.template, point.prompt_tokens)
        return found.to(self.device), cut

    @property
    def prompts(self) -> Tokens:
        """Of every document, on the device."""
        return self.prompted[0]

    def queries(self, texts: Sequence[str]) -> Tokens:
        """Queries as the model writes them, on the device."""
        return encode_queries(self.language, texts, self.point.query_tokens)[0].to(self.device)

    def examples(self, texts: Sequence[str], documents: np.ndarray, units: np.ndarray) -> Examples:
        """Private pairs as the tuner takes them."""
        rows = torch.from_numpy(documents).to(self.device)
        return Examples(self.prompts, self.queries(texts), rows, torch.from_numpy(units).to(self.device))

    @cached_property
    def index(self) -> Tokens:
        """Every document as the retriever reads it."""
        return encode_plain(self.language, self.split.documents, self.point.prompt_tokens)[0].to(self.device)

    def asked(self, texts: Sequence[str]) -> Tokens:
        """Queries as the retriever reads them."""
        return encode_plain(self.language, texts, self.point.query_tokens)[0].to(self.device)

    def encoder(self) -> Encoder:
        """The retriever before any training: the same for every arm of a seed."""
        vectors = self.language.model.get_input_embeddings().weight.detach().float()
        return Encoder(vectors, self.point.encoder_width, self.point.encoder_layers, HEADS, self.seed)

    def keys(self, plan: Plan, arm: str) -> dict[str, int]:
        """Draw and noise of one private training: named by all that makes another release, so that nothing else shares
        them. Other epsilons draw other batches as well, so that an accountant may add them up. An epsilon is named by
        its plan alone: the jobs' first one would say with whom this one is run."""
        shared = {name: value for name, value in self.point.hashed().items() if name != "epsilon"}
        held = self.resources.data.fingerprint, self.language.files.sha256, canonical(shared)
        run = f"03/{arm}/{plan.digest()}/" + "/".join(held)
        return {
            "draw_key": plan.draw_key(self.seed, run),
            "noise_key": plan.noise_key(self.seed, run, 0),
        }

    def progress(self, what: str) -> Progress:
        """How far the jobs are."""
        return Progress(min(self.done, self.expected), self.expected, what)

    def key(self, place: int, what: str) -> str:
        """The name of a piece of work: with its epsilon, unless it is the same at all of them."""
        return what if what.partition("-")[0] in BASELINES else f"{what} at {called(self.jobs[place].point.epsilon[0])}"


def split_of(point: QueriesSpec, resources: Resources) -> PairSplit:
    """The corpus, sampled and split as the point says."""
    return split_pairs(resources.data, point.split_seed, point.split_by[0], point.documents)


def units_of(point: QueriesSpec, split: PairSplit) -> np.ndarray:
    """int64 [units, k]: the training pairs of each protected unit, -1 in empty places."""
    if point.unit == PAIR:
        return np.arange(len(split.train))[:, None]
    return capped(split.train, point.max_pairs, point.split_seed)


def rows_of(pairs: Pairs) -> Tensor:
    """Each pair's document, int64 [n]."""
    return torch.from_numpy(pairs.documents)
