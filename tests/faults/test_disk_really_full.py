"""A disk without a block left, nothing injected: a file system of 2 MiB in memory, mounted in a namespace of its own.

That takes util-linux' `unshare` and a kernel that lets its user make such namespaces. Where there is none, the test
says so and is skipped; test_disk_full.py injects the same errors everywhere.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from aftermath import Told

TESTS = Path(__file__).parent.parent
SIZE = 2  # MiB
MOUNT = f'mount -t tmpfs -o size={SIZE}m tmpfs "$1" && shift && exec "$@"'
PRIVATE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh")


def inside(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command for which `folder` is the small file system; for all others it stays empty.

    Raises:
        OSError: there is no `unshare` here.
    """
    variables = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS.parent)}  # this labkit, not another one
    return subprocess.run(
        [*PRIVATE, str(folder), *command], capture_output=True, text=True, timeout=120, check=False, env=variables
    )


def why_not(folder: Path) -> str:
    """Why such a file system cannot be mounted here; empty where it can."""
    try:
        tried = inside(folder, "true")
    except OSError as error:
        return str(error)
    return tried.stderr.strip() if tried.returncode else ""


def really_full(folder: Path, moments: random.Random) -> Told:
    """A run with hardly any room, again and again."""
    if why := why_not(folder):
        return Told(0, 0, 0, (), f"not struck: {why}", False)
    done = inside(folder, sys.executable, str(TESTS / "full_disk.py"), str(folder), str(moments.randrange(2**31)))
    if done.returncode:
        raise RuntimeError(done.stderr)
    told = json.loads(done.stdout)
    return Told(**told | {"wrong": tuple(told["wrong"])})


FAULTS = {f"disk really full (tmpfs of {SIZE} MiB)": really_full}


@pytest.fixture
def small(tmp_path):
    if why := why_not(tmp_path):
        pytest.skip(f"no file system can be mounted without privileges here: {why}")
    return tmp_path


def test_a_run_outlives_a_disk_without_room(small):
    told = really_full(small, random.Random(0))
    assert told.survived, told
    assert told.times >= 10
    assert "disk is full" in told.said
    assert "No space left on device" in told.said
    assert "I/O error" not in told.said  # what SQLite says where it cannot make its index
    assert not list(small.iterdir())  # it was a file system of its own


def test_where_none_can_be_mounted_the_row_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    told = really_full(tmp_path, random.Random(0))
    assert not told.survived
    assert told.said.startswith("not struck: ")
    assert "unshare" in told.said
