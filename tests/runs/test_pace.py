from __future__ import annotations

import pytest
from clock import Clock

from labkit.runs.pace import Pace


@pytest.fixture
def clock():
    return Clock(100.0)


@pytest.fixture
def pace(clock):
    made = Pace(clock)
    made.go()
    made.begin(total=4, done=1)
    return made


@pytest.fixture
def share(pace):
    return pace.enter(1)


def test_by_hand(pace, share, clock):
    assert (pace.done, pace.total, pace.seconds_left()) == (1, 4, None)
    share.advance(0.0)
    clock.now += 10
    share.advance(0.5)
    assert pace.done == 1.5
    assert pace.seconds_left() == 10 / 0.5 * 2.5
    clock.now += 10
    share.leave(finished=True)
    assert pace.done == 2
    assert pace.seconds_left() == 20 / 1.0 * 2


def test_a_pause_is_no_work(pace, clock):
    clock.now += 10
    pace.rest()
    clock.now += 1000
    pace.go()
    clock.now += 1
    assert pace.elapsed() == 11


def test_a_replicate_without_progress_counts_when_it_is_finished(pace, share, clock):
    clock.now += 6
    share.leave(finished=True)
    assert pace.seconds_left() == 6 * 2


def test_work_of_others_says_nothing_of_our_speed(pace, clock):
    clock.now += 6
    pace.skip(1)
    assert pace.done == 2
    assert pace.seconds_left() is None


def test_a_replicate_that_was_left_is_not_done(pace, share):
    share.advance(0.7)
    share.leave(finished=False)
    assert pace.done == 1


@pytest.mark.parametrize("fraction", [-1.0, 2.0])
def test_done_stays_within_bounds(pace, share, fraction):
    share.advance(fraction)
    assert 1 <= pace.done <= 2


def test_two_pieces_at_once_by_hand(pace, clock):
    one, two = pace.enter(1), pace.enter(2)
    one.advance(0.0)
    two.advance(0.0)
    clock.now += 10
    one.advance(0.5)
    two.advance(0.25)
    assert pace.done == 1 + 0.5 + 2 * 0.25
    assert pace.seconds_left() == 10 / 1.0 * 2.0  # a replicate's work in ten seconds; two of three are left
    two.leave(finished=False)
    one.leave(finished=True)
    assert pace.done == 2
