"""All trainings of one seed, then their results."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from labkit.embeddings.leak import ADAFEST, ADAFEST_PLUS, EANA, MECHANISMS, leak
from labkit.experiments.charged import is_word
from labkit.experiments.embeddings.lab import Lab
from labkit.experiments.embeddings.spec import (
    DPSGD,
    PERSON,
    TUNED,
    USED,
    YEAR,
    EmbeddingsSpec,
    configuration,
)  # fmt: skip
from labkit.experiments.embeddings.training import SECONDS, Trained, train
from labkit.experiments.embeddings.tuning import rate_of, tuned_as
from labkit.experiments.executions import Told
from labkit.runs.events import Point, Result
from labkit.runs.experiment import Job, Resources


def run(jobs: Sequence[Job], resources: Resources) -> Iterator[Told]:
    """The events of jobs of one seed (see `labkit.runs.experiment.Together`).

    Results come last, after all that a resumed run would have to say again.
    """
    lab = Lab(jobs, resources)
    lab.expected = expected(lab)
    yield 0, lab.progress("reading the data")
    results = []
    for place, job in enumerate(jobs):
        values = yield from at_point(lab, place)
        (epsilon,), (method,) = job.point.epsilon, job.point.method
        results.append((place, epsilon if is_word(epsilon) else method, values))
    for place, arm, values in results:
        yield place, Result(arm, values)


def at_point(lab: Lab, place: int) -> Generator[Told, None, dict[str, Any]]:
    """Train at one point; its result's values."""
    point = lab.point(place)
    rate, tried = yield from rate_of(lab, place)
    trained = yield from train(lab, place, point, lab.seed, rate)
    yield from leaks(lab, place, trained)
    values = dict(trained.numbers)
    for name in ("rows", "dim"):
        values[name] = int(values[name])
    survivors, dim = values["survivors"], values["dim"]
    values |= {
        "reduction": values["rows"] / max(survivors, 1 / sum(plan.steps for plan in trained.plans)),
        "gradient_bytes": survivors * (4 * dim + 8),
        "dense_bytes": 4 * dim * values["rows"],
        "learning_rate": rate,
        "test_rows": len(lab.ground(point).split.test),
        "unit": point.unit,
        "noise_source": point.noise_source,
        "steps": sum(plan.steps for plan in trained.plans),
        "sample_rate": trained.plans[0].sample_rate,
        "optimizer": point.optimizer,
    }
    if tried:
        values |= {"tuned_rates": tried, "tuning_seeds": 1}
    if "k" in USED[point.method[0]]:
        values["frequency"] = point.frequency
    if point.epsilon[0] != "plain":
        values["clip_norm"] = point.clip_norm
    return values | (spent(trained, point) if trained.plans[0].private else {})


def spent(trained: Trained, point: EmbeddingsSpec) -> dict[str, Any]:
    """What a private training cost: of a stream, its dearest month."""
    epsilon, plan = trained.spent
    said = {"epsilon_spent": epsilon, "delta": plan.delta, "accountant": plan.accountant}
    said |= {"noise_multiplier": plan.noise_multiplier, "sample_rate": plan.sample_rate}
    said["executions"] = max(len({stretch.execution for stretch in begun}) for begun in trained.begun)
    if "threshold" in USED[point.method[0]]:
        said["map_clip_norm"] = point.map_clip_norm
    return said


def leaks(lab: Lab, place: int, trained: Trained) -> Iterator[Told]:
    """What the set of moved rows says of one example: arithmetic on the plan, the same for every data set."""
    point, plan = lab.point(place), trained.plans[0]
    (method,) = point.method
    if not plan.private or point.order[0] != YEAR or point.vocabulary[0]:
        return
    distinct = lab.ground(point).split.train.ids.shape[1] * (point.max_examples if point.unit == PERSON else 1)
    for mechanism in (method, *((EANA,) if method == DPSGD else ())):
        if mechanism not in MECHANISMS or point.map_norm[0] != "l2":
            continue
        threshold, f = point.threshold[0], point.selection_fraction[0]
        found = leak(mechanism, threshold, plan.noise_multiplier, f, point.map_clip_norm, distinct, plan.delta)
        values = {"mechanism": mechanism, "configuration": configuration(point)}
        values |= {"changed_untouched": found.changed_untouched, "changed_touched": found.changed_touched}
        if mechanism in (ADAFEST, ADAFEST_PLUS):
            values |= {"threshold": threshold, "selection_fraction": f}
        values |= {
            name: number
            for name in ("observed_epsilon", "step_epsilon")
            if (number := getattr(found, name)) < float("inf")
        }
        yield place, Point("leak", values)


def expected(lab: Lab) -> float:
    """All trainings, in the seconds that progress counts."""
    total = SECONDS * len(lab.jobs)
    if lab.point(0).learning_rate == TUNED:
        alike = {str(tuned_as(job.point).hashed()) for job in lab.jobs}
        total += SECONDS * len(alike) * len(lab.point(0).tried_rates())
    return total
