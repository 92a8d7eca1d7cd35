from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import subprocess
import sys

import pytest
from fake_experiment import EXPERIMENT
from safetensors.torch import load_file

from labkit.runs import Store


@pytest.fixture
def swept(lab):
    """Two runs of two replicates each."""
    code, out, err = lab.run(
        "sweep", "99", "--grid", "sparsity=0.5,0.9", "--seeds", "2", "-p", "steps", "5", "--device", "cpu"
    )
    assert code == 0, err
    assert out == "undecided: 8 results of a fake experiment\n"
    assert "of 4 replicates" in err
    return lab


def names(lab) -> list[str]:
    with lab.store() as store:
        return list(dict.fromkeys(row["name"] for row in store.replicates()))


def test_sweep_runs_each_once(swept):
    with swept.store() as store:
        created = [row["created"] for row in store.replicates()]
    assert len(created) == 4
    assert (
        swept.run("sweep", "99", "--grid", "sparsity=0.5,0.9", "--seeds", "2", "-p", "steps", "5", "--device", "cpu")[0]
        == 0
    )
    with swept.store() as store:
        assert [row["created"] for row in store.replicates()] == created


def test_sweep_refuses_a_grid_without_values(lab):
    assert lab.run("sweep", "99", "--grid", "sparsity")[::2] == (
        2,
        "labkit: grid = 'sparsity' is not usable; allowed: NAME=a,b\n",
    )
    assert lab.run("sweep", "99", "--grid", "sparsity=0.5,1.2")[0] == 2


def test_a_sweep_whose_experiment_breaks_shows_where(lab):
    with pytest.raises(RuntimeError, match="break at step 3"):  # a mistake in the code: Python's traceback, exit code 1
        lab.run("sweep", "99", "-p", "fail_at", "3", "-p", "seeds", "1", "--device", "cpu")
    assert "0.05 of 1 replicates" in lab.capfd.readouterr().err
    with lab.store() as store:
        assert [row["status"] for row in store.replicates()] == ["failed"]


def test_a_sweep_stopped_by_ctrl_c_can_be_resumed(lab, monkeypatch):
    def run(point, seed, resources):
        yield from itertools.islice(EXPERIMENT.run(point, seed, resources), 30)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fake_experiment.EXPERIMENT", dataclasses.replace(EXPERIMENT, run=run))
        code, _, err = lab.run("sweep", "99", "--seeds", "1", "--device", "cpu")
    assert code == 130
    assert err.splitlines()[-1] == "labkit: stopped; the same command resumes"
    with lab.store() as store:
        assert [row["status"] for row in store.replicates()] == ["stopped"]
    assert lab.run("sweep", "99", "--seeds", "1", "--device", "cpu")[0] == 0


def test_a_reader_of_a_pipe_may_leave(swept):
    program = "import sys; from labkit.cli import main; sys.exit(main(['runs', '--json']))"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_runs_lists_what_differs(swept):
    code, out, _ = swept.run("runs")
    header, *lines = out.splitlines()
    assert code == 0
    assert header.split() == ["run", "experiment", "device", "seeds", "created", "parameters"]
    assert [line.split()[0] for line in lines] == names(swept)
    assert [line.split()[-1] for line in lines] == ["sparsity=0.5", "sparsity=0.9"]
    assert all("2 finished" in line for line in lines)
    replicates = json.loads(swept.run("runs", "--json")[1])
    assert len(replicates) == 4
    assert replicates[0]["record"]["seeds_planned"] == 2


def test_show_takes_the_first_letters(swept):
    name = names(swept)[0]
    code, out, _ = swept.run("show", name[:8])
    assert code == 0
    assert name in out
    assert "walked-fancy, walked-plain" in out
    shown = json.loads(swept.run("show", name, "--json")[1])
    assert len(shown["results"]) == 4
    assert swept.run("show", "zzz")[0] == 2
    code, _, err = swept.run("show", "")
    assert code == 2
    assert len(err.splitlines()) == 1


def test_export_as_a_table(swept):
    code, out, _ = swept.run("export", *names(swept), "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == 8
    assert {row["sparsity"] for row in rows} == {"0.5", "0.9"}
    assert {(row["seed"], row["arm"]) for row in rows} == {(s, a) for s in "01" for a in ("fancy", "plain")}
    with swept.store() as store:
        assert float(rows[0]["test_accuracy"]) == store.results()[0]["test_accuracy"]
    assert swept.run("export", names(swept)[0], "--csv", "-o", "table.csv")[0] == 0
    assert len((swept.path / "table.csv").read_text().splitlines()) == 5


def test_export_as_json(swept):
    rows = json.loads(swept.run("export", names(swept)[0])[1])
    assert [row["seed"] for row in rows] == [0, 1]
    assert [result["arm"] for result in rows[0]["results"]] == ["fancy", "plain"]


def test_export_of_arrays(swept):
    name = names(swept)[0]
    code, out, _ = swept.run("export", name, "--arrays", "-o", "taken")
    files = sorted((swept.path / "taken" / name).rglob("*.safetensors"))
    assert code == 0
    assert sorted(out.splitlines()) == [str(file.relative_to(swept.path)) for file in files]
    assert len(files) == 4
    assert load_file(files[0])["walked"].shape == (1000,)
    (swept.path / "file").touch()
    assert swept.run("export", name, "--arrays", "-o", "file/below")[0] == 2
    assert swept.run("export", name, "--csv", "-o", "file/below")[0] == 2


def test_rm_removes_one_run(swept):
    first, second = names(swept)
    assert swept.run("rm", first[:6])[:2] == (0, f"{first}: 2 replicates deleted\n")
    assert names(swept) == [second]
    assert swept.run("rm", first)[0] == 2


@pytest.mark.parametrize("command", [["runs"], ["show", "a"], ["export", "a"], ["rm", "a"]])
def test_reading_makes_no_store(lab, command):
    code, _, err = lab.run(*command)
    assert code == 2
    assert err.startswith("labkit: store = ")
    assert not (lab.path / "store").exists()


def test_fetch_wants_a_name_of_the_hub(lab):
    assert lab.run("fetch", "digits")[0] == 2


def test_doctor(lab, monkeypatch):
    code, out, _ = lab.run("doctor")
    facts = dict(line.split(None, 1) for line in out.replace("extra ", "extra-").splitlines())
    assert code == 0
    assert facts["store"] == f"{lab.path / 'store'} (not there yet)"
    assert facts["notebooks"] == str(lab.path / "notebooks")
    assert facts["extra-[test]"] == facts["extra-[vision]"] == "installed"
    (lab.path / "store").touch()
    assert "store = " in lab.run("doctor")[1]  # a store that cannot be used is said, and the rest too
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "missing datasets, huggingface_hub: pip install 'labkit[hub]'" in lab.run("doctor")[1]


def test_an_unknown_command_is_one_line(capfd):
    from labkit.cli import main

    with pytest.raises(SystemExit) as left:
        main(["frob"])
    assert left.value.code == 2
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["runs"], 0), (["run", "99", "-p", "sparsity", "1.2"], 2), (["run", "99"], None)],
)
def test_no_torch_for_what_needs_none(lab, arguments, code):
    with Store(lab.path / "store"):
        pass
    program = (
        "import sys; from labkit import experiments; from labkit.cli import main; import labkit.cli.parameters as p;"
        "experiments.MODULES['99'] = 'fake_experiment'\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as left: code = left.code\n"
        "print('torch' in sys.modules, code)"
    )
    if code is None:  # the counter-example: data and checks do need it
        arguments = [*arguments, "--dry-run"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == (f"False {code}" if code is not None else "True 0")
