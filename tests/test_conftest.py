"""The tests that are left out are named, and where they must not be left out the run fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

@pytest.mark.gpu
def test_gpu(): ...

@pytest.mark.browser
def test_browser(): ...

def test_plain(): ...
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest on a small suite with this conftest, on a machine without a Chromium."""
    (folder / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (folder / "test_small.py").write_text(SUITE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu\n    browser\n")
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "LABKIT_GPU", "LABKIT_CHROMIUM")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(folder)]
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | {"PATH": "/nowhere", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_cannot_run_is_deselected_and_named(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert ran.returncode == 0
    assert "1 passed, 2 deselected" in ran.stdout
    assert "1 gpu tests deselected: set LABKIT_GPU=1" in ran.stdout
    assert "1 browser tests deselected: no Chromium found: install Debian's package `chromium`" in ran.stdout


def test_ci_needs_a_chromium(tmp_path: Path) -> None:
    ran = run(tmp_path, CI="true")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CI=true, and no Chromium found" in ran.stderr


def test_ci_without_browser_tests_asks_for_no_chromium(tmp_path: Path) -> None:
    assert run(tmp_path, "-m", "not browser", CI="true").returncode == 0


def test_everything_runs_where_it_can(tmp_path: Path) -> None:
    ran = run(tmp_path, LABKIT_GPU="1", LABKIT_CHROMIUM=sys.executable)
    assert "3 passed" in ran.stdout
    assert "deselected" not in ran.stdout
