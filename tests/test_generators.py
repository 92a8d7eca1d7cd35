"""Watching and stopping a long computation."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.generators import exhaust, relay
from labkit.landscape.steps import Steps


def count(total: int) -> Steps[str]:
    for done in range(1, total + 1):
        yield done, total
    return "finished"


def test_exhaust_returns_the_result() -> None:
    assert exhaust(count(3)) == "finished"
    assert exhaust(count(0)) == "finished"


def test_relay_renames_every_step_and_hands_on_the_result() -> None:
    kept = []

    def experiment() -> Iterator[str]:
        kept.append((yield from relay(count(2), lambda said: f"{said[0]} of {said[1]}")))

    assert list(experiment()) == ["1 of 2", "2 of 2"]
    assert kept == ["finished"]


def test_closing_the_relay_closes_the_computation() -> None:
    closed = []

    def watched() -> Steps[None]:
        try:
            yield 1, 2
            yield 2, 2
        finally:
            closed.append(True)

    steps = relay(watched(), lambda said: said[0])
    assert next(steps) == 1
    steps.close()
    assert closed == [True]
