from __future__ import annotations

import base64
import os

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import gallery


def picture(content: bytes) -> nbformat.NotebookNode:
    return new_output("display_data", data={"image/png": base64.b64encode(content).decode()})


NOTEBOOK = new_notebook(
    cells=[
        new_code_cell("before()", outputs=[picture(b"0")]),
        new_markdown_cell("## The verdicts (1)"),
        new_code_cell("a()", outputs=[picture(b"1"), picture(b"2")]),
        new_code_cell("b()", outputs=[picture(b"3")]),
        new_code_cell('panel.figure("best_of_k")', outputs=[picture(b"4")]),
    ],
    metadata={"widgets": {}},
)


def test_pictures_are_named_after_their_figure_or_the_heading_above():
    assert gallery.pictures(NOTEBOOK) == {
        "picture": b"0",
        "the-verdicts-1": b"1",
        "the-verdicts-1-2": b"2",
        "the-verdicts-1-3": b"3",
        "best_of_k": b"4",
    }


def test_a_copy_and_its_pictures_and_nothing_old(tmp_path):
    executed, folder = tmp_path / "01_case.ipynb", tmp_path / "gallery"
    nbformat.write(NOTEBOOK, executed)
    (folder / "01_case").mkdir(parents=True)
    (folder / "01_case" / "gone.png").write_bytes(b"old")
    written = gallery.keep(executed, folder)
    assert sorted(path.name for path in (folder / "01_case").iterdir()) == sorted(path.name for path in written[1:])
    assert (folder / "01_case" / "the-verdicts-1.png").read_bytes() == b"1"
    copy = nbformat.read(folder / "01_case.ipynb", as_version=4)
    assert "widgets" not in copy.metadata
    assert copy.cells[2].outputs[0].metadata["image/png"]["alt"] == "The verdicts (1)"


def test_each_notebook_is_run_and_a_failure_stops(tmp_path, monkeypatch, capsys):
    ran = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments)
        nbformat.write(NOTEBOOK, arguments[arguments.index("-o") + 1])
        return 3 if arguments[1] == "01" else 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_STORE", "")  # put back afterwards
    monkeypatch.setattr(gallery.cli, "main", run)
    assert gallery.main(["--preset", "full", "--store", "kept"]) == 3
    assert [arguments[:5] for arguments in ran] == [["run", key, "--preset", "full", "-o"] for key in ("00", "01")]
    assert os.environ["LABKIT_STORE"] == "kept"
    assert sorted(path.name for path in (tmp_path / "docs" / "executed").iterdir()) == ["00_tour", "00_tour.ipynb"]
    assert "00_tour.ipynb" in capsys.readouterr().out
