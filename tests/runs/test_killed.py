from __future__ import annotations

import random
import signal
import time

import pytest
from fake_experiment import ARMS, EXPERIMENT, FakeSpec
from killable import DATA, processes, work, work_and_die

from labkit.runs import Store, Worker, writing
from labkit.runs.events import Point
from labkit.runs.reader import key_of


@pytest.fixture(scope="module")
def context():
    return processes()


def outcome(path) -> list[dict]:
    """Everything that must not depend on kills: results, points in order, artifacts."""
    with Store(path) as store:
        assert store.integrity() == []
        assert {row["status"] for row in store.replicates()} == {"finished"}
        keys = sorted((key_of(row) for row in store.replicates()), key=str)
        return [
            {
                "results": [row for row in store.results(key.name) if row["seed"] == key.seed],
                "points": store.points(key, "curve"),
                "walked": {name: store.arrays(key, name)["walked"].tobytes() for name in store.artifacts(key)},
                "files": sorted(file.name for file in store.folder(key).iterdir()),
            }
            for key in keys
        ]


def durable(path) -> int:
    """Steps of work that a resumed run need not do again."""
    with Store(path) as store:
        assert store.integrity() == []
        total = 0
        for row in store.replicates():
            key = key_of(row)
            assert row["status"] in ("stopped", "finished")  # a dead owner holds nothing
            done = len(ARMS) if row["status"] == "finished" else len(store.chunks(key))
            total += 100 * done + sum(int(kept["step"]) for kept in store.checkpoints(key).values())
        return total


def running(path) -> bool:
    with Store(path) as store:
        return any(row["status"] == "running" for row in store.replicates())


@pytest.mark.parametrize("seed", [0, 1])
def test_killed_at_random_moments_it_ends_in_the_same_numbers(context, tmp_path, seed):
    parameters = {"sparsity": "0.5", "seeds": 2, "steps": 100, "delay": 0.002}
    work(tmp_path / "whole", 0.02, **parameters)
    moments, before, kills = random.Random(seed), 0, 0
    for _ in range(6):
        process = context.Process(target=work, args=(tmp_path / "killed", 0.02), kwargs=parameters)
        process.start()
        while process.is_alive() and not running(tmp_path / "killed"):
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.2))
        process.kill()  # SIGKILL
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        after = durable(tmp_path / "killed")
        assert after >= before  # nothing that was safe is lost
        before = after
    assert kills >= 2
    assert before > 0
    work(tmp_path / "killed", 0.02, **parameters)
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


def test_killed_between_any_two_steps_of_writing_it_ends_in_the_same_numbers(context, tmp_path):
    parameters = {"sparsity": "0.5", "seeds": 1, "steps": 2}
    work(tmp_path / "whole", 0.0, **parameters)
    expected = outcome(tmp_path / "whole")
    step, stride = 1, 4
    while True:
        path = tmp_path / str(step)
        process = context.Process(target=work_and_die, args=(path, step), kwargs=parameters)
        process.start()
        process.join()
        if process.exitcode != -signal.SIGKILL:
            break  # more steps than the run has
        durable(path)
        work(path, 0.0, **parameters)
        assert outcome(path) == expected, f"killed at step {step}"
        step += stride
    assert process.exitcode == 0
    assert step > 40


def test_the_check_sees_a_half_written_file(tmp_path):
    work(tmp_path, 0.0, sparsity="0.5", seeds=1, steps=2)
    with Store(tmp_path) as store:
        [key] = [key_of(row) for row in store.replicates()]
        file = next(store.folder(key).iterdir())
        file.write_bytes(file.read_bytes()[:100])
        assert "altered or is truncated" in store.integrity()[0]


def test_the_check_sees_points_said_twice(tmp_path, monkeypatch):
    parameters = {"sparsity": "0.5", "seeds": 1, "steps": 2}
    work(tmp_path / "whole", 0.0, **parameters)
    # The broken variant: a resumed run keeps the points that it is going to say again.
    monkeypatch.setattr(writing, "lend", _lend_without_deleting)
    with Store(tmp_path / "stopped") as store:
        running = Worker(EXPERIMENT, FakeSpec.of(device="cpu", **parameters), store, load=lambda *unused: DATA).run()
        while not isinstance(next(running).event, Point):
            pass
        running.close()
    work(tmp_path / "stopped", 0.0, **parameters)
    assert outcome(tmp_path / "stopped") != outcome(tmp_path / "whole")


def _lend_without_deleting(db, row, token, owner, now):
    db.execute(
        "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?)",
        (row, token, owner.host, owner.pid, owner.started, now),
    )
