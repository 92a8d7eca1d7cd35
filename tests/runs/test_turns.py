from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from types import SimpleNamespace

import pytest
import torch
from clock import Clock
from killable import processes
from queueing import run_all, take, take_and_hold

from labkit import device as devices
from labkit.errors import BadInput
from labkit.runs import tickets
from labkit.runs.tickets import Folder, Ticket
from labkit.runs.turns import NoTurns, Turns, in_turn, turns_of

CARD = SimpleNamespace(type="cuda")


@pytest.fixture
def clock():
    return Clock(50.0)


@pytest.fixture
def queue(tmp_path, clock):
    """Makes takers of turns on one card; all have left at the end."""
    with contextlib.ExitStack() as made:

        def taker(seats: int = 1) -> Turns:
            turns = Turns(tmp_path / "card", seats, clock)
            made.callback(turns.leave)
            return turns

        yield taker


@pytest.fixture(scope="module")
def context():
    return processes()


def count(turns: Turns) -> int | None:
    """How many are ahead; None if it has its turn."""
    ahead = turns.come()
    return None if ahead is None else len(ahead.said)


def test_three_by_hand(queue):
    first, second, third = queue(), queue(), queue()
    assert [count(first), count(second), count(third)] == [None, 1, 2]
    assert [first.held, second.held, third.held] == [True, False, False]
    assert count(first) is None  # it keeps what it has
    first.leave()
    assert [count(third), count(second), count(third)] == [1, None, 1]
    assert count(first) == 2  # from the end again
    second.leave()
    assert count(third) is None


def test_who_leaves_the_queue_lets_the_next_one_up(queue):
    first, second, third = queue(), queue(), queue()
    assert [count(first), count(second), count(third)] == [None, 1, 2]
    second.leave()
    assert count(third) == 1


def test_two_seats(queue):
    takers = [queue(seats=2) for _ in range(5)]
    assert [count(one) for one in takers] == [None, None, 2, 3, 4]
    takers[1].leave()
    assert [count(one) for one in takers[3:]] == [2, 3]
    assert count(takers[2]) is None
    assert [count(one) for one in takers[3:]] == [2, 3]


def test_thirty(queue):
    takers = [queue() for _ in range(30)]
    assert [count(one) for one in takers] == [None, *range(1, 30)]
    for at, one in enumerate(takers):
        assert count(one) is None
        assert not any(other.held for other in takers if other is not one)
        one.leave()
        assert at == 29 or count(takers[-1]) == 28 - at or at == 28
    assert list((takers[0]._path).iterdir()) == []


@pytest.mark.parametrize(
    ("seats", "said", "words"),
    [
        (1, [60.0], "1 ahead, about 60 s"),
        (1, [60.0, 120.0, 60.0], "3 ahead, about 4 min"),
        (1, [None], "1 ahead, for how long is not known"),
        (1, [100.0, None], "2 ahead, at least 2 min"),
        (2, [60.0, 30.0], "2 ahead, about 30 s"),  # the first of two seats to be free
        (2, [60.0, 30.0, 10.0, 100.0], "4 ahead, about 60 s"),  # 60; 30, 10 till 40, 100 till 140
        (1, [3 * 3600.0], "1 ahead, about 3.0 h"),
        (1, [0.0], "1 ahead, about 1 s"),
    ],
)
def test_how_long_the_wait_is(queue, seats, said, words):
    for seconds in said:
        queue(seats).come(seconds)
    assert str(queue(seats).come()) == f"waiting for the GPU: {words}"


def test_time_that_passes_makes_the_wait_shorter(queue, clock):
    first, second, third = queue(), queue(), queue()
    first.come(30.0)
    second.come(20.0)
    assert third.come().seconds == 50
    clock.now += 5
    second.come(20.0)
    assert third.come().seconds == 45  # the one that waits still needs as long
    first.expect(70.0)
    assert third.come().seconds == 90
    clock.now += 1
    first.expect(10.0)  # too soon after the last time
    assert third.come().seconds == 89


def test_one_at_work_that_says_nothing_is_not_reckoned_with(queue, clock):
    first, second = queue(), queue()
    first.come(1000.0)
    second.come()
    clock.now += 200
    assert str(second.come()) == (
        "waiting for the GPU: 1 ahead, for how long is not known (nothing heard for 3 min: paused?)"
    )
    assert not second.held
    first.expect(20.0)  # it goes on
    assert str(second.come()) == "waiting for the GPU: 1 ahead, about 20 s"


def test_one_that_was_paused_while_it_waits_is_passed_over_and_keeps_its_place(queue, clock):
    first, paused, third, fourth = queue(), queue(), queue(), queue()
    assert [count(first), count(paused), count(third), count(fourth)] == [None, 1, 2, 3]
    first.leave()
    clock.now += 9
    assert count(third) == 1
    clock.now += 2
    assert count(third) is None
    assert count(paused) == 1  # never two at once
    assert count(fourth) == 2
    third.leave()
    assert count(fourth) == 1
    assert count(paused) is None


def test_whether_anybody_waits(queue, clock):
    first, second = queue(), queue()
    assert not first.waited_for()
    first.come()
    assert not first.waited_for()
    second.come()
    assert first.waited_for()
    clock.now += 11  # paused
    assert not first.waited_for()
    second.come()
    assert first.waited_for()
    second.leave()
    assert not first.waited_for()


def test_where_another_one_looks_just_now_it_is_asked_again(queue, tmp_path):
    first, second = queue(), queue()
    assert first.come() is None
    other = Folder(tmp_path / "card")
    with other.locked() as locked:
        assert locked
        assert str(second.come()) == "waiting for the GPU"
        assert first.waited_for()
    other.close()
    assert count(second) == 1


def test_a_killed_one_is_gone_at_once(context, queue, tmp_path):
    process = context.Process(target=take_and_hold, args=(tmp_path / "card",))
    process.start()
    while not list(tmp_path.glob("card/*")):
        time.sleep(0.005)
    turns = queue()
    while count(turns) != 1:
        time.sleep(0.005)
    assert count(turns) == 1
    process.kill()
    process.join()
    assert count(turns) is None
    assert len(list(tmp_path.glob("card/*"))) == 1  # the dead one's ticket is tidied away


@pytest.mark.parametrize("seats", [1, 2])
def test_processes_are_never_more_than_the_seats_and_come_in_order(context, tmp_path, seats):
    started = []
    for place in range(6):
        arguments = tmp_path / "card", seats, place, tmp_path / "log", tmp_path / "go"
        started.append(context.Process(target=take, args=arguments))
        started[-1].start()
        while len(list(tmp_path.glob("card/*"))) <= place:
            time.sleep(0.002)
    (tmp_path / "go").touch()
    run_all(started)
    said = [int(word) for word in (tmp_path / "log").read_text().replace("+0", "+100").replace("-0", "-100").split()]
    at_work, most = 0, 0
    for word in said:
        at_work += 1 if word > 0 else -1
        most = max(most, at_work)
    assert most == seats
    begun = [word % 100 for word in said if word > 0]
    assert begun == list(range(6)) if seats == 1 else sorted(begun[:2]) == [0, 1]


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\x00" * 40, b"W", b"X a 1 5", b"R a 1 nan", b"R a 1 -5", b"R a 1 1e999", b"R a 1 <b>", b"9" * 9],
)
def test_a_ticket_that_makes_no_sense_is_one_ahead_for_an_unknown_time(queue, tmp_path, text):
    (tmp_path / "card").mkdir()
    ticket = tmp_path / "card" / f"{1:015}"
    ticket.write_bytes(text)
    with open(ticket) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert str(queue().come()) == "waiting for the GPU: 1 ahead, for how long is not known"


def test_what_is_no_ticket_is_nobody(queue, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("R a 1 77")
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / f"{1:015}").symlink_to(secret)
    (folder / f"{2:015}").mkdir()
    os.mkfifo(folder / f"{3:015}")
    (folder / f"{4:015}").write_text("R a 1 5")  # nobody's: its owner has died
    for name in ("README", "5", "1" * 16, "٣" * 15):
        (folder / name).write_text("R a 1 5")
    with open(secret) as held, open(folder / "README") as other:
        for file in (held, other):
            fcntl.flock(file, fcntl.LOCK_EX)
        assert queue().come() is None
    assert secret.read_text() == "R a 1 77"
    assert (folder / "README").exists()


def test_every_user_may_queue_whatever_the_umask(queue, tmp_path):
    before = os.umask(0o077)
    try:
        queue().come()
    finally:
        os.umask(before)
    folder = tmp_path / "card"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o644]


def test_a_folder_that_was_there_keeps_its_mode(queue, tmp_path):
    (tmp_path / "card").mkdir(0o750)
    queue().come()
    assert stat.S_IMODE((tmp_path / "card").stat().st_mode) == 0o750


def _link(path):
    (path.parent / "elsewhere").mkdir()
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize("make", [_link, lambda path: path.write_text("a file"), lambda path: path.parent.rmdir()])
def test_a_folder_that_is_none_is_one_error_that_names_it(tmp_path, make):
    path = tmp_path / "above" / "card"
    path.parent.mkdir()
    make(path)
    with pytest.raises(BadInput, match=r"above/card.*LABKIT_TURNS_SEATS=0") as caught:
        Turns(path).come()
    assert caught.value.parameter == "LABKIT_TURNS"
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "elsewhere").exists() or list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_tried_twice(queue, monkeypatch):
    original, refusals = os.open, iter([True, False, True, True])

    def refusing(path, flags, *args, **options):
        if flags & os.O_CREAT and next(refusals):
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(path, flags, *args, **options)

    monkeypatch.setattr(tickets.os, "open", refusing)
    assert queue().come() is None  # its maker had not yet opened it to all
    with pytest.raises(BadInput, match=r"card.*Permission denied"):
        queue().come()


def test_a_folder_that_was_tidied_away_is_made_anew(queue, tmp_path):
    queue().leave()
    turns, other = queue(), Folder(tmp_path / "card")
    with other.locked():
        assert turns.come() is not None  # it has the folder open
    other.close()
    (tmp_path / "card").rmdir()
    assert turns.come() is not None
    assert turns.come() is None
    assert len(list((tmp_path / "card").iterdir())) == 1


def test_a_full_disk_ends_no_work_that_has_begun(queue, clock, monkeypatch):
    first = queue()
    first.come()
    monkeypatch.setattr(Ticket, "say", lambda *unused: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    clock.now += 100
    first.expect(5.0)
    with pytest.raises(BadInput, match=r"card.*No space left"):
        queue().come()


def test_the_environment_says_where_and_how_many(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "card", lambda device: "GPU-1234")
    monkeypatch.delenv("LABKIT_TURNS_SEATS", raising=False)
    monkeypatch.delenv("LABKIT_TURNS", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert isinstance(turns_of(torch.device("cpu")), NoTurns)
    assert turns_of(CARD)._path == tmp_path / "labkit-turns-GPU-1234"
    monkeypatch.setenv("LABKIT_TURNS", str(tmp_path / "own"))
    monkeypatch.setenv("LABKIT_TURNS_SEATS", "3")
    assert (turns_of(CARD)._path, turns_of(CARD)._seats) == (tmp_path / "own" / "labkit-turns-GPU-1234", 3)
    monkeypatch.setenv("LABKIT_TURNS_SEATS", "0")
    assert isinstance(turns_of(CARD), NoTurns)


@pytest.mark.parametrize("seats", ["-1", "one", "1.5", "", "1025", "9" * 5000, "³"])
def test_seats_that_are_no_number(monkeypatch, seats):
    monkeypatch.setenv("LABKIT_TURNS_SEATS", seats)
    with pytest.raises(BadInput, match="LABKIT_TURNS_SEATS"):
        turns_of(CARD)


def test_a_block_in_turn_waits_says_so_and_gives_the_memory_back(queue, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "card", lambda device: "1")
    monkeypatch.setenv("LABKIT_TURNS", str(tmp_path))
    monkeypatch.setattr("labkit.runs.turns.POLL_SECONDS", 0.0)
    freed, said = [], []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    first = turns_of(CARD)
    first.come()

    def say(words: str) -> None:
        said.append(words)
        first.leave()

    with in_turn(CARD, say):
        assert count(first) == 1
    assert said == ["waiting for the GPU: 1 ahead, for how long is not known"]
    assert freed == [True]
    assert count(first) is None
    first.leave()


def test_memory_that_an_error_holds_on_to_is_freed(monkeypatch):
    held = {}

    class Big:
        def __del__(self):
            held["freed"] = True

    def fails():
        big = Big()
        raise MemoryError(f"no room beside {type(big).__name__}")

    def fails_again():
        try:
            fails()
        except MemoryError as error:
            raise RuntimeError("out of memory") from error

    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: held.setdefault("emptied", dict(held)))
    with pytest.raises(RuntimeError) as caught:
        fails_again()
    devices.free_memory(torch.device("cpu"), caught.value)
    assert held == {}
    devices.free_memory(CARD, caught.value)
    assert held["emptied"] == {"freed": True}
