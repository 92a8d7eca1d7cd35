"""`labkit sweep` in other processes: the same store, verdict and words as in this one."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from fake_experiment import FakeSpec

from labkit.cli import sweep

SWEEP = ("sweep", "99", "--grid", "sparsity=0.5,0.9", "--seeds", "2", "-p", "steps", "5", "--device", "cpu")


@pytest.mark.slow
def test_two_workers_and_then_nothing_left(lab):
    code, out, err = lab.run(*SWEEP, "--workers", "2")
    assert (code, out) == (0, "undecided: 8 results of a fake experiment\n")
    assert err.splitlines()[-1] == "4 of 4 replicates"
    with lab.store() as store:
        assert [row["status"] for row in store.replicates()] == ["finished"] * 4
        assert all(row["record"]["wall_seconds"] > 0 for row in store.replicates())
        assert all(row["record"]["peak_bytes"] > 0 for row in store.replicates())
    assert lab.run(*SWEEP)[:2] == (0, "undecided: 8 results of a fake experiment\n")


@pytest.mark.slow
def test_failures_are_listed_with_their_error_and_the_rest_is_done(lab):
    code, out, err = lab.run(*SWEEP, "--workers", "1", "-p", "fail_at", "3")
    assert (code, out) == (1, "")
    failed = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 4
    assert all(line.endswith("RuntimeError: the fake experiment was asked to break at step 3") for line in failed)
    assert err.splitlines()[-1] == "labkit: 4 replicates failed; the same command tries them again"


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_the_same_command_goes_on(lab):
    # A test run that was put in the background ignores Ctrl-C, and its children with it.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    program += "import sys; from labkit import experiments; experiments.MODULES['99'] = 'fake_experiment';"
    program += "from labkit.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *SWEEP, "--workers", "2", "-p", "delay", "0.3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        with lab.store() as store:
            wait_for(lambda: any(row["status"] == "running" for row in store.replicates()))
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "labkit: stopped; the same command resumes"
    assert "Traceback" not in err
    wait_for(lambda: not any(child.is_running() for child in children))
    with lab.store() as store:
        assert "running" not in {row["status"] for row in store.replicates()}
    assert lab.run(*SWEEP)[:2] == (0, "undecided: 8 results of a fake experiment\n")


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--workers", "0"), "workers = 0 is not usable; allowed: 1 to 1024"),
        (("--gpus-per-run", "0.5"), "gpus_per_run = 0.5 is not usable; allowed: nothing without --ray"),
        (("--ray", "nowhere"), "ray = 'nowhere' is not usable; allowed: local, or host:port of a Ray cluster"),
        (("--ray", "127.0.0.1:1"), "ray = '127.0.0.1:1' is not usable; allowed: local, or host:port"),
        (("--ray", "local", "--gpus-per-run", "0.5"), "gpus_per_run = 0.5 is not usable; allowed: nothing with device"),
        (("--ray", "local", "--workers", "2"), "not allowed with argument"),
        (("--workers", "1", "-p", "steps", "13"), "steps = 13 is not usable; allowed: any number but 13"),
        (("--workers", "1", "--grid", "steps=0"), "steps"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_trace(lab, arguments, words):
    try:
        code, out, err = lab.run("sweep", "99", "--device", "cpu", *arguments)
    except SystemExit as left:  # argparse's own
        code, (out, err) = left.code, lab.capfd.readouterr()
    assert (code, out) == (2, "")
    assert words in err.splitlines()[-1]
    if (lab.path / "store").exists():
        with lab.store() as store:
            assert store.replicates() == []


@pytest.mark.parametrize(
    ("where", "on"),
    [
        (["--workers", "2"], ["first", "second"]),
        (["--workers", "9"], ["first", "second", "third"]),
        (["--ray", "local"], ["first", "second", "third"]),
        (["--ray", "10.0.0.1:6379"], []),
    ],
)
def test_turns_are_taken_on_the_cards_of_this_machine_that_are_used(monkeypatch, where, on):
    monkeypatch.setattr(sweep, "cards", lambda name, most=None: ["first", "second", "third"][:most])
    monkeypatch.setattr(sweep, "turns_on", list)
    monkeypatch.setattr("labkit.cluster.ray_pool.RayPool", lambda *given: given)
    parser = argparse.ArgumentParser()
    sweep.add(parser.add_subparsers())
    pool, turns = sweep._place(parser.parse_args([*SWEEP, *where]), FakeSpec.of())
    assert turns == on
    if where[0] == "--workers":
        assert (pool.size, pool._gpus) == (int(where[1]), len(on))
