from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st

from labkit import device as devices
from labkit.errors import BadInput
from labkit.runs.several import SeveralTurns, turns_on
from labkit.runs.turns import NoTurns, Turns


@pytest.fixture
def clock():
    return Clock(50.0)


@pytest.fixture
def cards(tmp_path, clock):
    """Makes turns on cards by their names."""
    made = []

    def take(*names):
        made.append([Turns(tmp_path / name, clock=clock) for name in names])
        return SeveralTurns(made[-1])

    yield take
    for one in made:
        SeveralTurns(one).leave()


def test_all_or_none_by_hand(cards, tmp_path):
    one, other, both = cards("a"), cards("b"), cards("a", "b")
    assert other.come() is None
    assert len(both.come().said) == 1
    assert not both.held
    assert len(one.come().said) == 1  # both has a already, and waits for b
    other.leave()
    assert both.come() is None
    assert both.held
    assert both.waited_for()  # on a
    one.leave()
    assert not both.waited_for()
    assert len(other.come().said) == 1
    assert both.waited_for()  # on b
    both.leave()
    assert not both.held
    assert other.come() is None
    other.leave()
    assert [list((tmp_path / name).iterdir()) for name in "ab"] == [[], []]


def test_whoever_has_one_card_and_waits_for_the_next_shows_that_it_lives(cards, clock):
    other, both, one = cards("b"), cards("a", "b"), cards("a")
    assert other.come() is None
    for _ in range(20):
        clock.now += 5.0
        assert both.come() is not None
        ahead = one.come()
        assert not ahead.said[0].quiet


def test_what_is_expected_is_said_on_every_card(cards, clock):
    both = cards("a", "b")
    both.come()
    clock.now += 5.0
    both.expect(30.0)
    assert [cards(name).come().said[0].seconds for name in "ab"] == [30.0, 30.0]


@given(turns=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_whatever_each_asks_for_no_card_has_two_and_nobody_waits_for_ever(tmp_path_factory, turns):
    folder = tmp_path_factory.mktemp("cards")
    wanted = ["ab", "bc", "abc", "c"]
    takers = [SeveralTurns([Turns(folder / name) for name in names]) for names in wanted]
    for place, leaves in turns:
        takers[place].leave() if leaves else takers[place].come()
        at_work = "".join(names for names, one in zip(wanted, takers, strict=True) if one.held)
        assert len(set(at_work)) == len(at_work)
    left = set(range(4))
    while left:
        came = {place for place in left if takers[place].come() is None}
        assert came, "they wait for each other"
        for place in came:
            takers[place].leave()
        left -= came


@pytest.fixture
def three_cards(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_TURNS", str(tmp_path))
    monkeypatch.setattr(devices, "card", lambda device: f"id-{2 - device.index}")
    return [torch.device("cuda", number) for number in range(3)]


def test_everybody_asks_in_the_order_of_the_cards_own_ids(three_cards, tmp_path):
    """Whoever sees them in another order must not wait for who waits for him."""
    turns = turns_on(three_cards)
    asked = []
    for one in turns._turns:
        one.come = lambda seconds, path=one._path: asked.append(path.name)
    turns.come()
    assert asked == ["labkit-turns-id-0", "labkit-turns-id-1", "labkit-turns-id-2"]


def test_what_it_is_for_one_card_for_none_and_for_a_cpu(three_cards, monkeypatch):
    assert isinstance(turns_on(three_cards), SeveralTurns)
    assert isinstance(turns_on(three_cards[:1]), Turns)
    assert isinstance(turns_on([]), NoTurns)
    assert isinstance(turns_on([torch.device("cpu")]), NoTurns)
    monkeypatch.setenv("LABKIT_TURNS_SEATS", "0")
    assert isinstance(turns_on(three_cards), NoTurns)
    monkeypatch.setenv("LABKIT_TURNS_SEATS", "many")
    with pytest.raises(BadInput, match="LABKIT_TURNS_SEATS"):
        turns_on(three_cards)


def test_the_cards_of_a_run(monkeypatch):
    monkeypatch.setattr(devices, "resolve", lambda name: SimpleNamespace(type=name))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices.cards("cpu") == []
    assert [str(card) for card in devices.cards("cuda")] == ["cuda:0", "cuda:1", "cuda:2"]
    assert len(devices.cards("cuda", 2)) == 2
    assert len(devices.cards("cuda", 8)) == 3
