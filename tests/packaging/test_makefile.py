from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("setup", "demo", "test", "test-gpu", "lab", "bench", "gallery", "lint")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "ARGS")}
    return subprocess.run(["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A checkout in which nothing was set up yet."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def python(folder: Path, version: tuple[int, int]) -> str:
    """A stand-in for an interpreter of another version: it answers the one question that the Makefile asks first."""
    path = folder / "python"
    answer = f"exec {sys.executable} -c 'import sys; sys.exit({version} < (3, 11))'"
    path.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "Python {version[0]}.{version[1]}" && exit\n{answer}\n')
    path.chmod(0o755)
    return str(path)


def test_help_names_every_target():
    told = make("help").stdout
    for target in TARGETS:
        assert re.search(rf"^{target} +\w", told, re.MULTILINE)


def test_an_old_python_gets_one_clear_line(fresh):
    done = make("setup", f"PYTHON={python(fresh, (3, 10))}", cwd=fresh)
    assert done.returncode != 0
    first = done.stderr.splitlines()[0]
    assert first.startswith("labkit needs Python 3.11 or newer")
    assert "Python 3.10" in first
    assert not (fresh / ".venv").exists()


def test_a_missing_python_gets_one_clear_line(fresh):
    done = make("setup", "PYTHON=no-such-python", cwd=fresh)
    assert done.stderr.splitlines()[0].startswith("labkit needs Python 3.11 or newer; no-such-python is not here")


@pytest.mark.parametrize("target", ["demo", "test", "lab", "bench", "gallery"])
def test_each_target_sets_up_first_torch_before_the_rest(fresh, target):
    planned = make("-n", target, "TORCH_ARGS=torch==2.12.0", cwd=fresh).stdout
    steps = ["-m venv .venv", "install --disable-pip-version-check torch==2.12.0", "-e '.[test,queries]'", "touch"]
    places = [planned.index(step) for step in steps]
    assert places == sorted(places)


def test_set_up_is_not_done_twice(fresh):
    (fresh / ".venv").mkdir()
    (fresh / ".venv" / ".labkit-installed").touch()
    assert "pip" not in make("-n", "test", cwd=fresh).stdout
    os.utime(fresh / "pyproject.toml", (2**32, 2**32))
    assert "pip" in make("-n", "test", cwd=fresh).stdout


def test_bench_runs_with_a_python_of_ones_own(fresh):
    planned = make("-n", "bench", "PYTHON=python3", "SETUP=0", cwd=fresh).stdout
    assert planned.strip() == f"PYTHONPATH={fresh} python3 -m benchmarks"


def test_ci_installs_a_browser_and_calls_make_test():
    script = (ROOT / ".ci" / "run").read_text()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)
    assert "set -euo pipefail" in script
    assert script.rstrip().endswith("make test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
