"""All fine-tunes that are run together, then their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labkit.experiments.executions import Told, cost, times_begun
from labkit.experiments.finetune.lab import Lab
from labkit.experiments.finetune.pictures import pictures
from labkit.experiments.finetune.plans import method_of, plan_without_choice, stages_of
from labkit.experiments.finetune.reached import Reached, Run
from labkit.experiments.finetune.spec import TUNED, FinetuneSpec
from labkit.experiments.finetune.training import train
from labkit.experiments.finetune.tuning import rate_of, tune, tuned_as
from labkit.runs.events import Result
from labkit.runs.experiment import Job, Resources

WHOLE = ("moving", "weights", "rows_chosen", "not_private_dropped")  # counts among the numbers


def run(jobs: Sequence[Job], resources: Resources) -> Iterator[Told]:
    """The events of methods of fixed size, or of choices of rows (see `labkit.runs.experiment.Together`).

    Results come last, after all that a resumed run would have to say again.
    """
    lab = Lab(jobs, resources)
    lab.expected = expected(lab)
    yield 0, lab.progress("reading weights and images")
    yield from tune(lab)
    runs = [Run(place, job.point, job.seed, rate_of(lab, job.point)) for place, job in enumerate(jobs)]
    reached = yield from train(lab, runs)
    yield from pictures(lab, runs, reached)
    for place, one in enumerate(runs):
        yield place, Result(one.point.method[0], values(lab, one, reached[one]))


def values(lab: Lab, one: Run, reached: Reached) -> dict[str, Any]:
    """The stored numbers of one fine-tune."""
    point, plan = one.point, lab.plan(one.point)
    stages, data = stages_of(point, lab.examples), lab.resources.data
    found: dict[str, Any] = {name: int(v) if name in WHOLE else v for name, v in reached.numbers.items()}
    found |= {
        "learning_rate": one.rate, "steps": plan.steps, "selection_steps": stages.score,
        "sample_rate": plan.sample_rate, "noise_multiplier": plan.noise_multiplier, "test_images": len(data.test),
        "noise_source": point.noise_source, "model": point.model, "said": said(lab),
    }  # fmt: skip
    if point.learning_rate == TUNED:
        found |= {"tuned_rates": len(point.tried_rates()), "tuning_seeds": 1}
    if point.epsilon[0] != "plain":
        found["clip_norm"] = point.clip_norm
    if plan.private:
        spent = cost(plan, reached.begun)
        found |= {"epsilon_spent": spent.epsilon, "delta": plan.delta, "accountant": plan.accountant}
        found["executions"] = times_begun(reached.begun)
        if method_of(point).chooses:
            found["noise_multiplier_without"] = plan_without_choice(point, lab.examples).noise_multiplier
    return found


def said(lab: Lab) -> str:
    """What was replaced and resized, in words."""
    shape, network = lab.resources.data.train.x.shape[1:], lab.network
    return "; ".join(part for part in (network.said, network.transform.said(shape, network.name)) if part)


def expected(lab: Lab) -> float:
    """All fine-tunes with their tuning, in steps of one network."""
    total = sum(stages_of(job.point, lab.examples).steps for job in lab.jobs)
    if lab.point.learning_rate == TUNED:
        alike: dict[str, FinetuneSpec] = {str(tuned_as(job.point).hashed()): tuned_as(job.point) for job in lab.jobs}
        steps = sum(stages_of(like, lab.examples).steps for like in alike.values())
        total += steps * len(lab.point.tried_rates())
    return float(total)
