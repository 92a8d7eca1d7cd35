"""Training the retriever on some queries, privately or not, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.errors import LabError
from labkit.experiments.executions import advance, cost, ledger_rows
from labkit.experiments.queries.lab import Lab, Told, rows_of
from labkit.experiments.queries.plans import LOGIT_TEMPERATURE
from labkit.experiments.queries.spec import LOGIT
from labkit.retrieval.direct import PrivateDirect
from labkit.retrieval.encoder import Encoder
from labkit.retrieval.logit import PrivateLogit
from labkit.retrieval.metrics import clustered_interval, measures, search
from labkit.retrieval.train import train
from labkit.runs.events import Chunk

SECONDS, DIRECT_SECONDS, LOGIT_SECONDS = 8.0, 12.0, 15.0  # of progress
MEASURES = ("recall", "ndcg", "mrr")
DIRECT_AT_ONCE = {"cpu": 16, "cuda": 512}  # per-unit gradients held at once
LOGIT_AT_ONCE = {"cpu": 256, "cuda": 2048}  # similarities' gradients
TELL = 10  # steps between two words about progress


@dataclass(frozen=True)
class Learned:
    """An encoder that some arm trained, and what it found."""

    encoder: Encoder
    found: Tensor  # float64 [3, test queries]: recall, nDCG and reciprocal rank

    def kept(self) -> dict[str, Tensor]:
        """What a chunk keeps of it."""
        return {"found": self.found} | {f"encoder.{n}": w.cpu() for n, w in self.encoder.params().items()}


def learn(
    lab: Lab, place: int, arm: str, queries: Sequence[str], documents: np.ndarray
) -> Generator[Told, None, Learned]:
    """Train an encoder with the ordinary in-batch softmax."""
    point, work = lab.point, lab.key(place, arm)
    key = f"{work}, learned"
    if (held := restored(lab, key)) is not None:
        lab.done += SECONDS
        return held
    if len(queries) < 2:
        raise LabError(f"{work}: {len(queries)} queries with a word in them were written, of two at least")
    encoder, before = lab.encoder(), lab.done
    steps = train(
        encoder, lab.asked(queries), lab.index, torch.from_numpy(documents), steps=point.encoder_steps,
        batch_size=min(point.encoder_batch, len(queries)), learning_rate=point.encoder_rate,
        temperature=point.encoder_temperature, seed=lab.seed,
    )  # fmt: skip
    for step, _ in steps:
        if step % TELL == 0 or step == point.encoder_steps:
            lab.done = before + SECONDS * step / point.encoder_steps
            yield place, lab.progress(f"{work}: encoder, step {step} of {point.encoder_steps}")
    learned = Learned(encoder, found_by(lab, encoder))
    yield place, Chunk(key, learned.kept())
    return learned


def learn_privately(
    lab: Lab, place: int, arm: str, start: Encoder
) -> Generator[Told, None, tuple[Learned, dict[str, Any]]]:
    """Train an encoder privately on the real pairs (DP-direct, or Logit-DP), from `start`.

    Returns:
        it, and what its plan cost.
    """
    point, work = lab.point, lab.key(place, arm)
    key = f"{work}, learned"
    (epsilon,) = lab.jobs[place].point.epsilon
    plan = lab.plans.encoder(epsilon, arm)
    if (held := restored(lab, key)) is not None:
        lab.done += seconds_of(arm)
        spent, executions = lab.resources.chunks[key]["numbers"].tolist()
        return held, said(lab, plan, spent) | {"executions": int(executions)}
    encoder = start.copy()
    kind = PrivateLogit if arm == LOGIT else PrivateDirect
    rest: dict[str, Any] = {} if arm == LOGIT else {"negatives": min(point.negatives, len(lab.split.documents))}
    trainer = kind(
        encoder, lab.asked(lab.split.train.queries), lab.index, lab.units, rows_of(lab.split.train), plan,
        learning_rate=point.direct_rate, seed=lab.seed,
        temperature=LOGIT_TEMPERATURE if arm == LOGIT else point.encoder_temperature,
        micro_batch=(LOGIT_AT_ONCE if arm == LOGIT else DIRECT_AT_ONCE)[lab.device.type],
        **lab.keys(plan, arm), **rest,
    )  # fmt: skip
    begun = yield from advance(lab, place, work, trainer, seconds=seconds_of(arm))
    learned, spent = Learned(encoder, found_by(lab, encoder)), cost(plan, begun).epsilon
    executions = len({stretch.execution for stretch in begun})
    for row in ledger_rows(plan, begun, f"{work} {point.split_by[0]} {lab.seed}"):
        yield place, row
    # After its rows: what has a chunk says them no more.
    yield place, Chunk(key, learned.kept() | {"numbers": torch.tensor([spent, executions], dtype=torch.float64)})
    return learned, said(lab, plan, spent) | {"executions": executions}


def seconds_of(arm: str) -> float:
    """What a private training counts in progress."""
    return LOGIT_SECONDS if arm == LOGIT else DIRECT_SECONDS


def said(lab: Lab, plan: Any, spent: float) -> dict[str, Any]:
    """What a result says of its private training."""
    values = {
        "steps": plan.steps,
        "sample_rate": plan.sample_rate,
        "noise_multiplier": plan.noise_multiplier,
        "units": plan.examples,
        "unit": lab.point.unit,
        "noise_source": lab.point.noise_source,
    }
    if math.isfinite(plan.clip_norm):
        values["clip_norm"] = plan.clip_norm
    if plan.private:
        values |= {"epsilon_spent": spent, "delta": plan.delta, "accountant": plan.accountant}
    return values


def restored(lab: Lab, key: str) -> Learned | None:
    """What an earlier, unfinished run had learned."""
    held = lab.resources.chunks.get(key)
    if held is None:
        return None
    encoder = lab.encoder()
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            weight.copy_(held[f"encoder.{name}"])
    return Learned(encoder, held["found"])


def found_by(lab: Lab, encoder: Encoder) -> Tensor:
    """Recall@10, nDCG@10 and MRR@10 of every test query over the whole index, float64 [3, queries]."""
    test = lab.split.test
    scores, rows = search(encoder, lab.asked(test.queries), lab.index)
    values = measures(rows, scores, test.documents)
    return torch.from_numpy(np.stack([values[name] for name in MEASURES]))


def values_of(lab: Lab, found: Tensor) -> dict[str, Any]:
    """Means and intervals over test queries, clustered by document: overall and for laypeople's wordings."""
    test = lab.split.test
    said: dict[str, Any] = {"test_queries": len(test), "lay_queries": int(test.lay.sum())}
    for suffix, kept in (("", np.ones(len(test), bool)), ("_lay", test.lay)):
        clusters = test.documents[kept]
        if len(np.unique(clusters)) < 2:
            continue  # no interval over documents can be had
        for name, row in zip(MEASURES, found.numpy(), strict=True):
            mean, low, high = clustered_interval(row[kept], clusters)
            said |= {f"{name}{suffix}": mean, f"{name}{suffix}_low": low, f"{name}{suffix}_high": high}
    return said
