"""Sweeps on seats without processes: the numbers of one process, whatever dies on the way."""

from __future__ import annotations

import pytest
from fake_experiment import EXPERIMENT, FakeSpec
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_pool import NEVER, InlinePool
from kept import keys, numbers, statuses

from labkit.cluster.sweep import RETRIES, Sweep, divided
from labkit.errors import BadInput, LabError
from labkit.runs import RunKey, Store, Worker
from labkit.runs.events import Progress


@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_the_numbers_of_one_process(sweep, store, alone, size):
    pool = InlinePool(size)
    updates = list(sweep(pool).run())
    assert numbers(store) == alone
    assert updates[-1].done == updates[-1].total == 4
    assert pool.closed
    assert len(pool.seats) == min(size, 4)


@settings(max_examples=10, deadline=None)
@given(answers=st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_whoever_dies_and_whenever_the_numbers_are_the_same(alone, tmp_path_factory, answers):
    """The first process starts: a pool of which none does is refused below."""
    spec = FakeSpec.of(sparsity="0.5,0.9", seeds=2, steps=5, device="cpu")
    with Store(tmp_path_factory.mktemp("store")) as store:
        one = Sweep(EXPERIMENT, spec, store, InlinePool(2, [1 + answers[0], *answers[1:]]), home="fake_experiment")
        list(one.run())
        failed = {str(failure.key) for failure in one.failures}
        assert numbers(store) == {key: held for key, held in alone.items() if key not in failed}
        assert statuses(store).count("failed") == len(failed)


def test_one_that_dies_goes_on_from_its_checkpoint(sweep, store, alone, monkeypatch):
    resumed = []
    original = InlinePool.seat

    def seat(self):
        made = original(self)
        ask = made.ask

        def asked(method, *given):
            if method == "begin" and given[0].checkpoints:
                resumed.append(given[0])
            ask(method, *given)

        made.ask = asked
        return made

    monkeypatch.setattr(InlinePool, "seat", seat)
    one = sweep(InlinePool(1, [4]))
    list(one.run())
    assert (one.lost, one.failures) == (1, [])
    assert [list(task.checkpoints) for task in resumed] == [["fancy"]]
    assert numbers(store) == alone


def test_a_piece_may_lose_so_many_processes(sweep, store, alone):
    one = sweep(InlinePool(1, [2] * RETRIES))
    list(one.run())
    assert (one.lost, one.failures) == (RETRIES, [])
    assert numbers(store) == alone


def test_a_piece_that_kills_every_process_fails_and_the_others_finish(sweep, store):
    one = sweep(InlinePool(1, [2] * (RETRIES + 1)))
    list(one.run())
    assert one.lost == RETRIES + 1
    assert sorted(statuses(store)) == ["failed", "finished", "finished", "finished"]
    assert [failure.error for failure in one.failures] == [
        f"a process of the sweep has died (exit code -9), as {RETRIES} times before"
    ]
    list(sweep(InlinePool(1)).run())
    assert statuses(store) == ["finished"] * 4


def test_one_that_fails_is_listed_and_the_others_go_on(sweep, store, asked, alone):
    one = sweep(InlinePool(2), asked.changed(fail_at=3))
    list(one.run())
    assert {failure.error for failure in one.failures} == {
        "RuntimeError: the fake experiment was asked to break at step 3"
    }
    assert {failure.key for failure in one.failures} == set(keys(store))
    assert {row["error"] for row in store.replicates()} == {failure.error for failure in one.failures}
    list(sweep(InlinePool(2)).run())  # fail_at is not part of the name
    assert numbers(store) == alone


@pytest.mark.parametrize("taken", [1, 5, 12, 30])
def test_a_stopped_sweep_gives_all_back_and_does_only_what_is_missing(sweep, store, alone, taken):
    running = sweep(InlinePool(2)).run()
    for _ in range(taken):
        next(running)
    running.close()
    assert "running" not in statuses(store)
    finished = statuses(store).count("finished")
    again = sweep(InlinePool(2))
    first = [update for update in again.run() if update.key is not None]
    assert first[0].done >= finished
    assert len({update.key for update in first}) == 4 - finished
    assert numbers(store) == alone


def test_what_another_process_writes_is_waited_for(sweep, store, asked, alone, monkeypatch):
    monkeypatch.setattr("labkit.cluster.sweep.WAIT_SECONDS", 0.01)
    other = Worker(EXPERIMENT, asked, store).run()
    next(other)
    held = next(other).key
    running = sweep(InlinePool(2)).run()
    for update in running:
        if isinstance(update.event, Progress) and update.event.what.startswith("waiting:"):
            break
    assert update.key == held
    assert statuses(store).count("finished") == 3
    other.close()
    list(running)
    assert numbers(store) == alone


@pytest.mark.parametrize(
    ("says", "error", "words"),
    [
        ({"version": "0.0.9"}, LabError, "a worker has labkit 0.0.9, this is .*: install the same there"),
        ({"fingerprint": "0" * 64}, BadInput, "data = 'digits' is not usable; allowed: the same data on every worker"),
        ({"device_kind": "cuda"}, BadInput, "one kind of device on all workers, here cpu and cuda"),
    ],
)
def test_workers_that_differ_are_refused_and_nothing_is_left_running(sweep, store, says, error, words):
    with pytest.raises(error, match=words):
        list(sweep(InlinePool(2, says=[{}, says])).run())
    assert "running" not in statuses(store)


def test_what_a_worker_refuses_is_said_before_anything_is_stored(sweep, store, asked):
    with pytest.raises(BadInput, match="steps = 13"):
        list(sweep(InlinePool(2), asked.changed(steps=13)).run())
    assert store.replicates() == []


def test_processes_that_die_while_they_start_are_replaced_but_not_for_ever(sweep, store, alone):
    one = sweep(InlinePool(2, [NEVER, 0, 0]))
    list(one.run())
    assert one.lost == 2
    assert numbers(store) == alone


def test_a_pool_whose_first_process_dies_is_an_error(sweep, store):
    with pytest.raises(LabError, match="has died"):
        list(sweep(InlinePool(2, [0])).run())
    assert store.replicates() == []


def piece(*seeds):
    return [(RunKey("99", name, seed, "cpu"), name) for seed in seeds for name in ("a", "b")]


def test_pieces_are_halved_by_seeds_by_hand():
    assert divided([piece(1, 2, 3)], 2) == [piece(1), piece(2, 3)]
    assert divided([piece(1, 2, 3)], 9) == [piece(1), piece(2), piece(3)]
    assert divided([piece(1), piece(2)], 1) == [piece(1), piece(2)]
    assert divided([], 3) == []


@given(sizes=st.lists(st.integers(1, 6), max_size=5), seats=st.integers(1, 20))
def test_dividing_loses_nothing_and_keeps_seeds_together(sizes, seats):
    found = [
        [(RunKey("99", f"{n}{name}", seed, "cpu"), None) for seed in range(k) for name in "ab"]
        for n, k in enumerate(sizes)
    ]
    made = divided(found, seats)
    assert sorted(str(key) for some in made for key, _ in some) == sorted(str(key) for some in found for key, _ in some)
    assert len(made) == max(len(found), min(seats, sum(sizes)))
    whole = [{(key.name[0], key.seed) for key, _ in some} for some in made]
    assert sum(map(len, whole)) == len(set().union(*whole))
