"""What an accountant is told: `dp_accounting` events, one that it lacks, and a plain form to count them in."""

from __future__ import annotations

from collections.abc import Iterable

import attr
from dp_accounting import (
    ComposedDpEvent,
    DpEvent,
    GaussianDpEvent,
    LaplaceDpEvent,
    NoOpDpEvent,
    PoissonSampledDpEvent,
    SelfComposedDpEvent,
)

Part = tuple[DpEvent, int]  # an event that is no composition, and how often it happens


@attr.s(frozen=True, slots=True, auto_attribs=True)
class ExponentialMechanismDpEvent(DpEvent):
    """A choice that is epsilon-DP and also epsilon^2/8-zCDP (Cesar and Rogers 2021, bounded range).

    `dp_accounting` would take the second alone, as a ZCDpEvent; PLD rejects that but can use the first.
    """

    epsilon: float


def dp_sgd(sample_rate: float, noise_multiplier: float, steps: int) -> DpEvent:
    """`steps` noisy sums, each over a Poisson sample of the records (Abadi et al. 2016)."""
    return SelfComposedDpEvent(PoissonSampledDpEvent(sample_rate, GaussianDpEvent(noise_multiplier)), steps)


def parts(events: Iterable[DpEvent]) -> tuple[Part, ...]:
    """Compositions taken apart; every part is hashable, so that costs can be cached."""
    found: dict[DpEvent, int] = {}
    for event in events:
        for part, count in _parts(event, 1):
            found[part] = found.get(part, 0) + count
    return tuple(found.items())


def in_pld(event: DpEvent) -> bool:
    """Whether PLD composes it exactly: Gaussian, Laplace, and either on a Poisson sample."""
    inner = event.event if isinstance(event, PoissonSampledDpEvent) else event
    return isinstance(inner, GaussianDpEvent | LaplaceDpEvent)


def _parts(event: DpEvent, count: int) -> list[Part]:
    if isinstance(event, SelfComposedDpEvent):
        return _parts(event.event, count * event.count) if event.count else []
    if isinstance(event, ComposedDpEvent):
        return [part for each in event.events for part in _parts(each, count)]
    return [] if isinstance(event, NoOpDpEvent) else [(_hashable(event), count)]


def _hashable(event: DpEvent) -> DpEvent:
    """The same event with tuples for lists, at any depth."""
    fields = {field.name: getattr(event, field.name) for field in attr.fields(type(event))}
    made = {
        name: _hashable(value)
        if isinstance(value, DpEvent)
        else tuple(_hashable(each) if isinstance(each, DpEvent) else each for each in value)
        if isinstance(value, list | tuple)
        else value
        for name, value in fields.items()
    }
    return attr.evolve(event, **made)
