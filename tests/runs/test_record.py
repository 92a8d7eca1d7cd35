from __future__ import annotations

import platform
import re
import subprocess

import torch

from labkit.runs import record


def test_what_is_recorded_names_no_machine_and_no_path():
    found = record.describe_run(torch.device("cpu"))
    assert set(found) == {"python", "torch", "labkit", "device", "device_name", "commit"}
    assert found["python"] == platform.python_version()
    assert platform.node() not in str(found)
    assert "/" not in str({**found, "device_name": ""})


def commit_something(folder) -> str:
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    (folder / "file").write_text("one")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_files_differ(tmp_path, monkeypatch):
    expected = commit_something(tmp_path)
    monkeypatch.setattr(record, "checkout", lambda: tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", expected)
    assert record.commit() == expected  # not the tag's name
    (tmp_path / "new").write_text("not tracked")
    assert record.commit() == expected
    (tmp_path / "file").write_text("two")
    assert record.commit() == f"{expected}-dirty"


def test_no_commit_without_a_checkout_or_git(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "checkout", lambda: None)
    assert record.commit() == ""
    monkeypatch.setattr(record, "checkout", lambda: tmp_path)
    assert record.commit() == ""  # a folder that is no repository
    monkeypatch.setenv("PATH", "")
    assert record.commit() == ""
