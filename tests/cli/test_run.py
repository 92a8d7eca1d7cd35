from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from labkit.runs import Store


def test_a_notebook_is_run_and_a_second_time_resumed(lab):
    code, out, err = lab.run(
        "run", "99", "-p", "sparsity", "0.5, 0.9", "-p", "steps", "5", "-p", "seeds", "2", "--device", "cpu"
    )
    assert code == 0, err
    assert re.fullmatch(r"outputs/99_fake-[0-9a-f]{8}\.ipynb\n", out)
    assert "Executing" in err  # the progress bar
    assert "Traceback" not in err
    with lab.store() as store:
        assert [row["status"] for row in store.replicates()] == ["finished"] * 4
    executed = nbformat.read(lab.path / out.strip(), as_version=4)
    [injected] = [cell for cell in executed.cells if "injected-parameters" in cell.metadata.tags]
    # Only what was given, as it was typed.
    assert re.findall(r"^(\w+) = (.*)$", injected.source, re.MULTILINE) == [
        ("sparsity", '"0.5, 0.9"'), ("steps", '"5"'), ("seeds", '"2"'), ("device", '"cpu"'),
    ]  # fmt: skip
    assert executed.metadata.papermill.input_path == "notebooks/99_fake.ipynb"
    assert str(lab.path) not in str(executed.metadata)


def test_the_kernel_is_this_interpreter_in_this_folder_and_headless(lab, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")  # as in a cell of JupyterLab
    lab.write_notebook(
        "import os, sys\n"
        "print(sys.executable, os.getcwd(), store, 'JPY_SESSION_NAME' in os.environ, sep='\\n', file=open('seen', 'w'))"
    )
    code, out, _ = lab.run("run", "99", "--store", "kept here", "-o", "made/{}.ipynb".format("mine"))
    assert (code, out) == (0, "made/mine.ipynb\n")
    assert (lab.path / "seen").read_text().splitlines() == [sys.executable, str(lab.path), "kept here", "False"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["-p", "sparsity", "1.2"],
            r"sparsity = '1\.2' is not usable; allowed: a number in \[0, 1\), or a comma list.*",
        ),
        (["-p", "sparsty", "0.5"], r"sparsty = '0\.5' is not usable; allowed: the parameters preset, .*"),
        (["--preset", "huge"], r"preset = 'huge' is not usable; allowed: one of quick, full"),
        (["-p", "steps", "nan"], r"steps = 'nan' .*"),
        (["-p", "steps", "13"], r"steps = 13 .*any number but 13.*"),
        (["-p", "steps", "5", "-p", "steps", "6"], r"steps = '6' .*one value; '5' was given too"),
        (["--device", "cpu", "-p", "data", "nowhere.npz"], r"data = 'nowhere\.npz' .*"),
        (["--store", "notebooks/99_fake.ipynb"], r"store = .*"),
        (["--store", "notebooks/99_fake.ipynb/below"], r"store = .*"),
    ],
)
def test_bad_input_is_one_line_before_a_kernel_starts(lab, arguments, line, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", None)
    code, out, err = lab.run("run", "99", *arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"labkit: {line}\n", err)
    assert not (lab.path / "outputs").exists()


def test_an_unknown_experiment(lab):
    line = "labkit: experiment = '77' is not usable; allowed: one of 00, 01, 02, 03, 04, 05, 99\n"
    assert lab.run("run", "77")[::2] == (2, line)


@pytest.mark.parametrize(
    ("cell", "code", "line"),
    [
        ("from labkit.errors import ClaimFailed\nraise ClaimFailed('found beats random: 0.1 < 0.2')", 3,
         r"claim failed: found beats random: 0\.1 < 0\.2"),
        ("from labkit.errors import BadInput\nraise BadInput('steps', 0, 'more')", 2, r"steps = 0 .* allowed: more"),
        ("raise ValueError('first line\\nlast line')", 1, r"ValueError: last line; see outputs/99_fake-\w+\.ipynb"),
        ("raise KeyboardInterrupt", 130, r"stopped; the same command resumes"),
        ("import os; os._exit(9)", 1, r"the kernel died \(out of memory\?\).*; see outputs/99_fake-\w+\.ipynb"),
    ],
)  # fmt: skip
def test_what_a_cell_raises_becomes_an_exit_code_and_a_line(lab, cell, code, line):
    lab.write_notebook(cell)
    got, _, err = lab.run("run", "99")
    assert got == code
    assert re.fullmatch(rf"labkit: {line}", err.splitlines()[-1])
    assert "Traceback" not in err


def test_a_parameter_that_the_notebook_lacks_is_not_silently_ignored(lab):
    code, _, err = lab.run("run", "99", "-p", "delay", "0.5")
    assert (code, err) == (1, "labkit: the parameters cell of notebooks/99_fake.ipynb lacks delay\n")


@pytest.mark.parametrize("output", ["notebooks", "notebooks/99_fake.ipynb/out.ipynb"])
def test_an_output_that_cannot_be_written(lab, output):
    code, _, err = lab.run("run", "99", "-o", output)
    assert code == 2
    assert re.fullmatch(
        rf"labkit: output = '{output}' is not usable; allowed: a file that can be written \(.*\)\n", err
    )


def test_dry_run_says_what_it_would_take_and_runs_nothing(lab):
    code, out, _ = lab.run("run", "99", "-p", "sparsity", "0.5,0.999", "--dry-run", "--device", "cpu")
    assert code == 0
    facts = dict(line.split(None, 1) for line in out.replace("grid points", "grid").splitlines())
    assert facts["grid"] == "2, of which 1 impossible"
    assert facts["replicates"] == "5, of which 0 stored already"
    assert facts["time"] == "about 0.04 s for all replicates"
    assert facts["memory"].startswith("about 7.812 KiB at the peak, of ")
    assert facts["epsilon"].startswith("none")
    with lab.store() as store:
        assert store.replicates() == []
    assert not (lab.path / "outputs").exists()


def test_ctrl_c_stops_and_the_run_can_be_resumed(lab):
    # A test run that was put in the background ignores Ctrl-C, and its children with it.
    command = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
               "from labkit import experiments; experiments.MODULES['99'] = 'fake_experiment';"
               "from labkit.cli import main; raise SystemExit(main())"]  # fmt: skip
    command += ["run", "99", "-p", "steps", "500", "-p", "seeds", "1", "-o", "out.ipynb", "--device", "cpu"]
    lab.write_notebook(lab.cell.replace("store=store)", "store=store, delay=0.05)", 1))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not _points(lab.path / "store"):
            time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "labkit: stopped; the same command resumes", err
    assert "Traceback" not in err
    with lab.store() as store:
        assert [row["status"] for row in store.replicates()] == ["stopped"]
        assert store.integrity() == []


def _points(path) -> int:
    if not (path / "labkit.sqlite").exists():
        return 0
    with Store(path) as store:
        return len(store.points_since(0)[1])
