from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from aftermath import Told

from tools import faults

WELL = Told(times=20, kept=8, lost=0, wrong=(), said="a | b", equal=True)


def test_a_row_by_hand():
    bad = Told(times=3, kept=2, lost=1, wrong=("a file is gone", "row 1 points nowhere"), said="", equal=False)
    assert faults.table({"killed": WELL, "disk": bad}).splitlines() == [
        "| fault | times | finished results lost | integrity | resumed to the same numbers | what the run said |",
        "| --- | --- | --- | --- | --- | --- |",
        "| killed | 20 | 0 of 8 | ok | yes | a \\| b |",
        "| disk | 3 | 1 of 2 | a file is gone; row 1 points nowhere | NO |  |",
    ]


@pytest.mark.parametrize(
    "change", [{"times": 0}, {"kept": 0}, {"lost": 1}, {"wrong": ("gone",)}, {"equal": False}], ids=str
)
def test_one_that_lost_something_or_proves_nothing_is_a_failure(monkeypatch, capsys, change):
    assert WELL.survived
    told = {"killed": WELL, "disk": replace(WELL, **change)}
    monkeypatch.setattr(faults, "known", lambda: {name: lambda *unused, name=name: told[name] for name in told})
    assert faults.main(["killed"]) == 0
    assert faults.main([]) == 1
    assert "| disk | " in capsys.readouterr().out


def test_every_fault_that_the_issue_names_is_there():
    names = " ".join(faults.known())
    for word in (
        "killed",
        "disk full, files",
        "disk full, database",
        "locked",
        "clock",
        "memory",
        "two people",
        "Ctrl-C",
    ):
        assert word in names


def test_the_command_strikes_in_a_folder_that_it_deletes(monkeypatch, capsys):
    struck = []

    def fault(folder: Path, moments: random.Random) -> Told:
        struck.append((folder, folder.is_dir(), moments.random()))
        return WELL

    monkeypatch.setattr(faults, "known", lambda: {"killed": fault})
    assert faults.main(["--seed", "3"]) == 0
    [(folder, was_there, drawn)] = struck
    assert was_there
    assert not folder.exists()
    assert drawn == random.Random(3).random()
    assert "tests/browser/test_panel_in_browser.py" in capsys.readouterr().out


def test_a_real_fault_from_end_to_end(capsys):
    assert faults.main(["out of memory"]) == 0
    row = capsys.readouterr().out.splitlines()[2]
    assert row.startswith("| out of memory | 10 | 0 of ")
    assert row.endswith(" | ok | yes | marked failed: MemoryError |")


def test_an_unknown_fault_is_refused(capsys):
    assert faults.main(["flood"]) == 2
    assert "there are" in capsys.readouterr().err
