"""A session paused, resumed and stopped, with a generator whose every step the test lets through."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import BadInput
from widgets.session import Ended, Messages, Session, Waiting, active, batches

SOON = 5.0


class Steps:
    """A generator of 0, 1, 2, ... which waits before each number until the test allows it."""

    def __init__(self, count: int = 1000) -> None:
        self.allowed = threading.Semaphore(0)
        self.count = count
        self.closed_in: str | None = None

    def __call__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                assert self.allowed.acquire(timeout=SOON)
                yield number
        finally:
            self.closed_in = threading.current_thread().name

    def allow(self, count: int) -> None:
        for _ in range(count):
            self.allowed.release()


@dataclass
class Playing:
    """A session, its generator, and what a reader is told."""

    session: Session
    steps: Steps
    messages: Messages

    def hear(self, count: int) -> list[Any]:
        return [self.messages.get(timeout=SOON) for _ in range(count)]


@pytest.fixture
def playing() -> Iterator[Playing]:
    steps = Steps()
    session = Session("a key", steps)
    messages = session.read("a reader")
    session.start()
    yield Playing(session, steps, messages)
    steps.allow(1)
    assert session.close(SOON)


def test_updates_come_in_order_and_then_the_end() -> None:
    steps = Steps(3)
    steps.allow(3)
    session = Session("a key", steps)
    messages = session.read("a reader")
    session.start()
    assert [messages.get(timeout=SOON) for _ in range(4)] == [0, 1, 2, Ended("finished")]
    session.join(SOON)
    assert session.state == "ended"


def test_a_pause_asks_for_nothing_more(playing: Playing) -> None:
    session = playing.session
    session.pause()
    assert session.state == "pausing"
    playing.steps.allow(5)
    assert playing.hear(2) == [0, Waiting()]  # the update in work was brought to its end
    assert session.state == "paused"
    assert playing.messages.empty()
    session.resume()
    assert playing.hear(4) == [1, 2, 3, 4]


def test_a_stop_is_acknowledged_at_once_and_closes_the_generator_where_it_ran(playing: Playing) -> None:
    started = time.monotonic()
    playing.session.stop()  # while the generator computes
    assert time.monotonic() - started < 0.5
    assert playing.session.state == "stopping"
    playing.steps.allow(1)
    assert playing.hear(2) == [0, Ended("stopped")]
    assert playing.steps.closed_in == "labkit-session"


def test_a_stop_ends_a_pause_and_is_not_taken_back(playing: Playing) -> None:
    playing.session.pause()
    playing.steps.allow(1)
    playing.hear(2)
    playing.session.stop()
    playing.session.resume()
    playing.session.join(SOON)
    assert not playing.session.is_alive()


def test_the_threads_of_the_process_are_the_list_of_sessions(playing: Playing) -> None:
    assert active() == [playing.session]
    playing.steps.allow(1)
    assert playing.session.close(SOON)
    assert active() == []


def test_a_second_reader_hears_what_comes_from_now_on(playing: Playing) -> None:
    playing.steps.allow(1)
    assert playing.hear(1) == [0]
    other = playing.session.read("another")
    playing.steps.allow(1)
    assert playing.hear(1) == [other.get(timeout=SOON)] == [1]


def test_a_reader_who_comes_again_replaces_itself(playing: Playing) -> None:
    again = playing.session.read("a reader")
    assert playing.hear(1) == [Ended("replaced")]
    playing.steps.allow(1)
    assert again.get(timeout=SOON) == 0
    assert playing.messages.empty()


def test_a_late_reader_is_told_of_a_pause_and_of_the_end(playing: Playing) -> None:
    playing.session.pause()
    playing.steps.allow(1)
    playing.hear(2)
    assert playing.session.read("late").get(timeout=SOON) == Waiting()
    assert playing.session.close(SOON)
    assert playing.session.read("later").get(timeout=SOON) == Ended("stopped")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (BadInput("steps", 13, "less"), "steps = 13 is not usable; allowed: less"),
        (RuntimeError("first line\nsecond line"), "RuntimeError: first line"),
        (KeyError(), "KeyError"),
    ],
)
def test_a_failure_is_one_line(error: Exception, line: str) -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise error

    session = Session("a key", broken)
    messages = session.read("a reader")
    session.start()
    assert messages.get(timeout=SOON) == 0
    ended = messages.get(timeout=SOON)
    session.join(SOON)
    assert (ended.how, ended.reason()) == ("failed", line)


class Clock:
    """Time that passes only in `sleep`, in which new messages arrive."""

    def __init__(self, messages: Messages, arrivals: list[int]) -> None:
        self.now, self.messages, self.arrivals = 0.0, messages, list(arrivals)
        self.next = 0
        self.arrive()

    def arrive(self) -> None:
        for _ in range(self.arrivals.pop(0) if self.arrivals else 0):
            self.messages.put(self.next)
            self.next += 1
        if not self.arrivals:
            self.messages.put(Ended("finished"))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.arrive()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_batches_lose_nothing_and_keep_their_rate(arrivals: list[int]) -> None:
    messages: Messages = Messages()
    clock = Clock(messages, arrivals)
    seen, times = [], []
    for batch in batches(messages, 0.125, clock.sleep):
        seen += batch
        times.append(clock.now)
    assert seen == [*range(sum(arrivals)), Ended("finished")]
    assert times[0] == 0  # the first message does not wait
    assert all(later - earlier >= 0.125 for earlier, later in itertools.pairwise(times))
