"""All epsilons of one seed and split: what costs no privacy first, then each epsilon, then the results."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from labkit.experiments.charged import is_word
from labkit.experiments.executions import cost
from labkit.experiments.queries import keeping, learning, planted, tuning, writing
from labkit.experiments.queries.lab import LEAD, Lab, Told
from labkit.experiments.queries.spec import DIRECT, LOGIT, REAL, SYNTHETIC, UNTRAINED, UNTUNED, WARM
from labkit.retrieval.encoder import Encoder
from labkit.runs.events import Result
from labkit.runs.experiment import Job, Resources

Values = dict[str, Any]


def run(jobs: Sequence[Job], resources: Resources) -> Iterator[Told]:
    """The events of jobs that differ in epsilon alone (see `labkit.runs.experiment.Together`).

    Results come last, after all that a resumed run would have to say again.
    """
    lab = Lab(jobs, resources)
    lab.expected = expected(lab)
    yield LEAD, lab.progress("reading the language model and the texts")
    same, warm = yield from baselines(lab)
    results: list[tuple[int, str, Values]] = []
    for place in range(len(jobs)):
        own = yield from at_epsilon(lab, place, warm)
        results += [(place, arm, values) for arm, values in (same | own).items()]
    for place, arm, values in results:
        yield place, Result(arm, {name: value for name, value in values.items() if _is_finite(value)})


def baselines(lab: Lab) -> Generator[Told, None, tuple[dict[str, Values], Encoder]]:
    """Arms that no epsilon changes, and the encoder trained on the untuned model's queries, which is free."""
    train = lab.split.train
    untrained = learning.values_of(lab, learning.found_by(lab, lab.encoder()))
    real = yield from learning.learn(lab, LEAD, REAL, train.queries, train.documents)
    lab.adapters.restart(lab.seed)  # B is zero: the model as it is
    written = yield from writing.write(lab, LEAD, UNTUNED)
    untuned = yield from learning.learn(lab, LEAD, UNTUNED, written.queries, written.documents)
    for place in range(len(lab.jobs)):  # each run can be taken out alone
        yield from keeping.retriever(lab, place, REAL, real.encoder)
        yield from keeping.retriever(lab, place, UNTUNED, untuned.encoder)
    common = {"model": lab.point.model, "model_sha256": lab.language.files.sha256}
    found = {
        UNTRAINED: untrained,
        REAL: learning.values_of(lab, real.found) | {"pairs": len(train)},
        UNTUNED: learning.values_of(lab, untuned.found) | writing.quality(lab, written) | common,
    }
    return found, untuned.encoder


def at_epsilon(lab: Lab, place: int, warm: Encoder) -> Generator[Told, None, dict[str, Values]]:
    """What one epsilon, or word, releases."""
    (epsilon,), train = lab.jobs[place].point.epsilon, lab.split.train
    found = {SYNTHETIC: (yield from synthetic(lab, place, epsilon))}
    if not is_word(epsilon):
        for arm, start in ((DIRECT, lab.encoder()), (WARM, warm), (LOGIT, lab.encoder())):
            learned, said = yield from learning.learn_privately(lab, place, arm, start)
            yield from keeping.retriever(lab, place, arm, learned.encoder)
            found[arm] = learning.values_of(lab, learned.found) | said
            found[arm] |= {"learning_rate": lab.point.direct_rate, "pairs": len(train)}
    if lab.point.canaries:
        yield from planted.expose(lab, place)
    return found


def synthetic(lab: Lab, place: int, epsilon: float | str) -> Generator[Told, None, Values]:
    """Fine-tune, write, train an encoder on what was written."""
    train, plan, point = lab.split.train, lab.plans.tuning(epsilon), lab.point
    texts = list(train.queries)
    tuned = yield from tuning.fine_tune(lab, place, tuning.FINE_TUNING, plan, texts, train.documents, lab.units)
    yield from keeping.adapter(lab, place)
    written = yield from writing.write(lab, place, SYNTHETIC)
    learned = yield from learning.learn(lab, place, SYNTHETIC, written.queries, written.documents)
    yield from keeping.retriever(lab, place, SYNTHETIC, learned.encoder)
    yield place, writing.artifact(written)
    spent = cost(plan, tuned.begun).epsilon
    return {
        **learning.values_of(lab, learned.found),
        **writing.quality(lab, written),
        **learning.said(lab, plan, spent),
        "selection_loss": tuned.loss,
        "learning_rate": tuning.rate_of(lab, plan),
        "executions": len({stretch.execution for stretch in tuned.begun}),
        "model": point.model,
        "model_sha256": lab.language.files.sha256,
        "documents_fingerprint": lab.split.fingerprint,
        "licence": lab.split.licence,
        "not_private_clipped": tuned.clipped,
        "not_private_dropped": tuned.dropped,
        "truncated_documents": lab.prompted[1],
        "micro_batch": tuned.micro_batch,
    }


def expected(lab: Lab) -> float:
    """All work, in the seconds that progress counts."""
    total = writing.SECONDS + 2 * learning.SECONDS
    for job in lab.jobs:
        total += tuning.SECONDS + writing.SECONDS + learning.SECONDS
        if not is_word(job.point.epsilon[0]):
            total += 2 * learning.DIRECT_SECONDS + learning.LOGIT_SECONDS
        if lab.point.canaries:
            total += tuning.SECONDS + planted.SECONDS
    return total


def _is_finite(value: Any) -> bool:
    """Whether the store takes it: a share of nothing is not a number, and is left out."""
    return not isinstance(value, float) or math.isfinite(value)
