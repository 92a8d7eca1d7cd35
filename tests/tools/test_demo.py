from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from tools import demo


@pytest.fixture
def run(monkeypatch, tmp_path):
    """`labkit run` that writes a notebook of one heading, with the exit codes put in `.codes`."""

    class Runs:
        def __init__(self) -> None:
            self.codes, self.ran = dict.fromkeys(demo.NOTEBOOKS, 0), []

        def __call__(self, arguments: list[str]) -> int:
            self.ran.append(arguments)
            nbformat.write(new_notebook(cells=[new_markdown_cell(f"# Number {arguments[1]}")]), arguments[5])
            return self.codes[arguments[1]]

    runs = Runs()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo.cli, "main", runs)
    return runs


def test_both_notebooks_then_one_report_and_where_it_is(run, tmp_path, capsys):
    assert demo.main([]) == 0
    assert [arguments[:4] for arguments in run.ran] == [
        ["run", key, "--preset", "quick"] for key in ("00", "01", "02", "03", "04", "05")
    ]
    page = (tmp_path / "outputs" / "report.html").read_text()
    assert "Number 00" in page
    assert "Number 01" in page
    assert str(tmp_path / "outputs" / "report.html") in capsys.readouterr().out


def test_a_failed_claim_is_reported_with_its_pictures(run, tmp_path):
    run.codes["00"] = 3
    assert demo.main([]) == 3
    assert len(run.ran) == len(demo.NOTEBOOKS)
    assert (tmp_path / "outputs" / "report.html").exists()


@pytest.mark.parametrize("code", [1, 2, 130])
def test_a_notebook_that_did_not_run_stops_the_demo(run, tmp_path, code):
    run.codes["00"] = code
    assert demo.main([]) == code
    assert len(run.ran) == 1
    assert not (tmp_path / "outputs" / "report.html").exists()


def test_more_arguments_reach_each_run(run):
    demo.main(["-p", "seeds", "2"])
    assert all(arguments[-3:] == ["-p", "seeds", "2"] for arguments in run.ran)
