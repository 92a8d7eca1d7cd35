from __future__ import annotations

import signal

import pytest
from aftermath import outcome, safe
from fake_experiment import EXPERIMENT, FakeSpec
from killable import DATA, processes, work, work_and_die

from labkit.runs import Store, Worker, writing
from labkit.runs.events import Point
from labkit.runs.reader import key_of


@pytest.fixture(scope="module")
def context():
    return processes()


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
        with Store(path) as store:
            assert store.integrity() == []
            assert "running" not in {row["status"] for row in store.replicates()}  # a dead owner holds nothing
        assert safe(path) >= 0  # what is kept can be read
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
