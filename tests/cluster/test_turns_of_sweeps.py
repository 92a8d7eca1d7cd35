"""Sweeps in other processes on a card that others are on as well: a sweep has its turn as a whole."""

from __future__ import annotations

import re
import time

import pytest
from clock import Clock
from fake_experiment import EXPERIMENT, FakeSpec
from inline_pool import InlinePool
from kept import numbers, statuses
from queueing import until

from labkit.cluster.seats import Lost
from labkit.cluster.sweep import Sweep
from labkit.runs import Store, Worker
from labkit.runs.turns import Turns

SPEC = FakeSpec.of(sparsity="0.5,0.9", seeds=2, steps=5, device="cpu")  # the one of `alone`


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    for module in ("labkit.runs.worker", "labkit.cluster.sweep"):
        monkeypatch.setattr(f"{module}.WAIT_SECONDS", 0.0)


@pytest.fixture
def other(tmp_path):
    with Store(tmp_path / "other") as opened:
        yield opened


@pytest.fixture
def card(tmp_path):
    return tmp_path / "card"


def on(card, store, pool, spec=SPEC, clock=time.monotonic) -> Sweep:
    return Sweep(EXPERIMENT, spec, store, pool, home="fake_experiment", turns=Turns(card, clock=clock), clock=clock)


def worker(card, store, spec=SPEC, clock=time.monotonic) -> Worker:
    return Worker(EXPERIMENT, spec, store, turns=Turns(card, clock=clock), clock=clock)


def to_the_end(*going):
    """A step of each, again and again."""
    left = list(going)
    while left:
        left = [updates for updates in left if next(updates, None)]


def test_a_sweep_and_a_kernel_take_turns_and_find_what_each_finds_alone(card, store, other, alone):
    """All seats work in one turn."""
    pool = InlinePool(2)
    first, second = on(card, store, pool).run(), worker(card, other).run()
    until(first, "walking")
    assert sorted(statuses(store)) == ["running", "running"]
    waits = until(second, "waiting for the GPU")
    assert waits.event.what.startswith("waiting for the GPU: 1 ahead")
    assert until(first, "waiting for the GPU").event.what.startswith("waiting for the GPU: 1 ahead")
    assert statuses(store) == ["finished", "finished"]
    until(second, "finished")
    until(second, "waiting for the GPU")
    assert statuses(other) == ["finished"]
    to_the_end(first, second)
    assert numbers(store) == numbers(other) == alone
    assert list(card.iterdir()) == []


def test_nothing_more_is_begun_in_a_turn_that_is_waited_for(card, store):
    pool = InlinePool(2)
    first, waits = on(card, store, pool).run(), Turns(card)
    until(first, "walking")
    assert waits.come() is not None
    until(first, "waiting for the GPU")
    assert statuses(store) == ["finished", "finished"]
    assert [seat.asked.count("begin") for seat in pool.seats] == [1, 1]
    waits.leave()
    first.close()


def test_two_sweeps_take_turns(card, store, other, alone):
    pools = InlinePool(1), InlinePool(1)
    sweeps = [on(card, kept, pool).run() for kept, pool in zip((store, other), pools, strict=True)]
    until(sweeps[0], "walking")
    for place in (1, 0, 1):
        until(sweeps[place], "waiting for the GPU")
        until(sweeps[1 - place], "waiting for the GPU")
        until(sweeps[place], "walking")
    assert [statuses(kept).count("finished") for kept in (store, other)] == [2, 1]
    to_the_end(*sweeps)
    assert numbers(store) == numbers(other) == alone


def test_the_memory_is_free_before_the_turn_ends(card, store, other, monkeypatch):
    pool, freed = InlinePool(2), []
    rest = "labkit.cluster.remote.Remote.rest"
    monkeypatch.setattr(rest, lambda self: freed.append([one.read_text()[0] for one in sorted(card.iterdir())]))
    first, second = on(card, store, pool).run(), worker(card, other).run()
    until(first, "walking")
    until(second, "waiting for the GPU")
    until(first, "waiting for the GPU")
    assert freed == [["R", "W"]] * 2  # it is at work still
    assert [one.read_text()[0] for one in sorted(card.iterdir())].count("R") == 0


def test_one_that_is_alone_keeps_turn_and_memory(card, store):
    pool = InlinePool(2)
    list(on(card, store, pool).run())
    assert statuses(store) == ["finished"] * 4
    assert all("rest" not in seat.asked for seat in pool.seats)


def test_nobody_waits_for_what_others_write(card, store):
    held = worker(card, store).run()
    until(held, "walking")
    key = until(held, "walking").key
    held.close()
    with store.claim(key, SPEC.points()[0]):
        second = on(card, store, InlinePool(1)).run()
        until(second, "waiting: another worker")
        assert list(card.iterdir()) == []
    list(second)
    assert statuses(store) == ["finished"] * 4


def test_a_stop_while_it_waits_leaves_the_queue_and_no_process_was_started(card, store, other):
    pool = InlinePool(2)
    first, second = worker(card, other).run(), on(card, store, pool).run()
    until(first, "walking")
    until(second, "waiting for the GPU")
    assert len(list(card.iterdir())) == 2
    second.close()
    assert len(list(card.iterdir())) == 1
    assert (pool.seats, pool.closed, statuses(store)) == ([], True, [])
    first.close()


def test_whoever_cannot_start_leaves_the_queue(card, store):
    with pytest.raises(Lost):
        list(on(card, store, InlinePool(1, [0])).run())
    assert list(card.iterdir()) == []


def test_a_process_may_die_in_whatever_it_is_asked(card, store, other, alone):
    whole = InlinePool(1)
    to_the_end(on(card, store, whole).run(), worker(card, other).run())
    asked = whole.seats[0].asked
    for last in ("begin", "more", "rest"):
        with Store(card.parent / f"{last} mine") as mine, Store(card.parent / f"{last} theirs") as theirs:
            pool = InlinePool(1, [asked.index(last)])
            one = on(card, mine, pool)
            to_the_end(one.run(), worker(card, theirs).run())
            assert numbers(mine) == numbers(theirs) == alone
            assert one.lost == 1
            assert pool.seats[0].asked[-1] == last


def test_waiting_is_no_work_and_those_at_work_say_how_long_it_takes(card, store, other, monkeypatch):
    clock = Clock(0.0)
    first, second = on(card, store, InlinePool(1), clock=clock).run(), worker(card, other, clock=clock).run()

    def words(done):
        """What the second reads once the first has done so much of its first replicate."""
        while next(first).done < done:
            clock.now += 3.0
        return until(second, "waiting for the GPU").event.what

    said = [words(0.4), words(0.9)]
    begun, later = (int(re.fullmatch(r"waiting for the GPU: 1 ahead, about (\d+) s", text)[1]) for text in said)
    assert begun > later > 0
    monkeypatch.setattr(time, "sleep", lambda seconds: setattr(clock, "now", clock.now + 4.0))
    left = until(first, "waiting for the GPU").seconds_left
    assert left > 0
    assert until(first, "waiting for the GPU").seconds_left == left
