"""Where the panel trains: chosen by the traits that a browser would set."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest
from fake_experiment import EXPERIMENT
from hand import Hand, until

from labkit import experiments
from widgets import LivePanel, where
from widgets.where import EXPOSED, KERNEL, PROCESS, RAY, Where

Make = Callable[..., LivePanel]


@pytest.fixture(autouse=True)
def ninety_nine(monkeypatch):
    monkeypatch.setitem(experiments.MODULES, "99", "fake_experiment")


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_another_process_draws_the_same_chart_and_can_be_stopped(make: Make) -> None:
    hand = Hand(make(steps=30, seeds=2, delay=0.02, device="cpu"))
    assert hand.board.where.choice.value == KERNEL
    hand.board.where.choice.value = PROCESS
    hand.press("run")
    assert hand.board.where.choice.disabled
    until(lambda: hand.points() > 3, seconds=60)
    assert len(children()) == 1
    hand.press("stop")
    hand.wait_for("Stopped")
    until(lambda: not children())
    hand.press("run")
    hand.wait_for("Finished: 2 of 2 replicates", seconds=60)
    elsewhere = {(row["arm"], row["seed"]): row for row in hand.panel.run.results()}
    assert hand.points() == 2 * 2 * 30
    (name,) = {row["name"] for row in hand.panel.store.replicates()}
    hand.panel.store.remove(name)
    alone = Hand(make(steps=30, seeds=2, device="cpu"))
    alone.press("run")
    alone.wait_for("Finished: 2 of 2 replicates")
    assert {(row["arm"], row["seed"]): row for row in alone.panel.run.results()} == elsewhere


@pytest.mark.slow
def test_what_fails_there_is_said_here(make: Make) -> None:
    hand = Hand(make(steps=5, seeds=2, fail_at=3, device="cpu"))
    hand.board.where.choice.value = PROCESS
    hand.press("run")
    hand.wait_for("2 replicates failed, first: RuntimeError: the fake experiment was asked to break", seconds=60)
    assert not hand.board.where.choice.disabled


@pytest.mark.slow
def test_what_is_refused_there_is_shown_beside_its_control(make: Make) -> None:
    hand = Hand(make(steps=5, seeds=1, device="cpu"))
    hand.press("run")
    hand.wait_for("Finished")
    hand.entry("steps").value = "13"
    hand.board.where.choice.value = PROCESS
    hand.press("run")
    hand.wait_for("These parameters cannot be used.", seconds=60)
    assert "any number but 13" in hand.board.controls.fields["steps"].complaint.value
    assert children() == []


def test_an_address_where_nobody_is_is_said_and_nothing_is_lost(make: Make) -> None:
    hand = Hand(make(steps=5, seeds=1, device="cpu"))
    hand.press("run")
    hand.wait_for("Finished")
    hand.entry("seeds").value = "2"
    hand.board.where.choice.value = RAY
    hand.board.where.address.value = "127.0.0.1:1"
    hand.press("run")
    hand.wait_for("ray = '127.0.0.1:1' is not usable; allowed: local, or host:port of a Ray cluster")
    hand.board.where.choice.value = KERNEL
    hand.press("run")
    hand.wait_for("Finished: 2 of 2 replicates")


def test_an_address_is_asked_for_where_there_is_one_and_what_it_exposes_is_said() -> None:
    where = Where()
    shown = [where.address.layout.display, where.exposed.layout.display]
    assert shown == ["none", "none"]
    where.choice.value = RAY
    assert [where.address.layout.display, where.exposed.layout.display] == [None, None]
    assert where.exposed.value == EXPOSED
    assert "run code" in EXPOSED
    where.lock(True)
    assert where.choice.disabled
    assert where.address.disabled


def test_the_kernel_is_this_process(make: Make) -> None:
    pids = []

    def run(point, seed, resources):
        pids.append(os.getpid())
        yield from EXPERIMENT.run(point, seed, resources)

    hand = Hand(make(replace(EXPERIMENT, run=run), steps=5, seeds=1))
    hand.press("run")
    hand.wait_for("Finished")
    assert pids == [os.getpid()]


def test_turns_are_taken_on_the_cards_of_this_machine_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(where, "cards", lambda name, most=None: [f"{name} 0", f"{name} 1"][:most])
    monkeypatch.setattr(where, "turns_on", list)
    assert where._turns(PROCESS, "local", "cuda") == ["cuda 0"]
    assert where._turns(RAY, "local", "cuda") == ["cuda 0", "cuda 1"]
    assert where._turns(RAY, "10.0.0.1:6379", "cuda") == []
