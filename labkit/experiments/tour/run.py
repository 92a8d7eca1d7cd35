"""One replicate of the tour: a small random search, then two networks trained at its epsilon."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from labkit.experiments.random_search import EXPERIMENT as SEARCH
from labkit.experiments.random_search.replicate import replicate
from labkit.experiments.tour.private import learn, networks
from labkit.experiments.tour.spec import TourSpec
from labkit.generators import relay
from labkit.runs.events import Event, Progress, Result
from labkit.runs.experiment import Resources

SEARCHED = 0.8  # of a replicate's time


def run(point: TourSpec, seed: int, resources: Resources) -> Iterator[Event]:
    """The events of one replicate. Results come last, after all that a resumed run would have to say again."""
    results: list[Event] = []
    with contextlib.closing(SEARCH.run(point.search(), seed, resources)) as searching:
        for event in searching:
            if isinstance(event, Result):
                results.append(event)
            else:
                yield share(event, 0.0, SEARCHED)
    r, (epsilon,) = replicate(point.search(), seed, resources), point.epsilon
    some = networks(r, epsilon)
    part = (1 - SEARCHED) / len(some)
    for i, one in enumerate(some):
        before = SEARCHED + i * part
        results.append((yield from relay(learn(r, one), lambda event: share(event, before, part))))  # noqa: B023
    yield from results


def share(event: Event, before: float, part: float) -> Event:
    """The same event; progress as a part of the whole replicate, which begins after what was done before."""
    if not isinstance(event, Progress):
        return event
    return replace(event, done=before + part * event.done / event.total, total=1.0)
