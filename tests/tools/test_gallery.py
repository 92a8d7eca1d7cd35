from __future__ import annotations

import base64
import copy
import io
import os

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

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


def drawn(colours: int) -> bytes:
    """A picture of so many shades of grey, a stripe of each, on a transparent ground."""
    picture = Image.new("RGBA", (2 * colours, 40))
    for x in range(colours):
        picture.paste((x % 256, x // 256, 0, 255), (2 * x, 0, 2 * x + 2, 20))
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue()


def test_fewer_colours_by_hand():
    with Image.open(io.BytesIO(gallery.fewer_colours(drawn(3)))) as small:
        assert small.mode == "P"
        shown = small.convert("RGB")
    assert [shown.getpixel((2 * x, 0)) for x in range(3)] == [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    assert shown.getpixel((0, 30)) == (255, 255, 255)
    with Image.open(io.BytesIO(gallery.fewer_colours(drawn(600)))) as small:
        assert len(small.getcolors()) <= 256


def test_a_copy_for_readers(tmp_path):
    notebook = copy.deepcopy(NOTEBOOK)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.data["image/png"] = base64.b64encode(drawn(600)).decode()
    executed, folder = tmp_path / "01_case.ipynb", tmp_path / "gallery"
    nbformat.write(notebook, executed)
    kept = nbformat.read(gallery.keep(executed, folder), as_version=4)
    assert [path.name for path in folder.iterdir()] == ["01_case.ipynb"]
    assert "widgets" not in kept.metadata
    assert kept.cells[2].outputs[0].metadata["image/png"]["alt"] == "The verdicts (1)"
    assert set(gallery.pictures(kept).values()) == {gallery.fewer_colours(drawn(600))}


def test_each_notebook_is_run_and_a_failure_stops(tmp_path, monkeypatch, capsys):
    ran = []

    def run(arguments: list[str]) -> int:
        ran.append(arguments)
        nbformat.write(new_notebook(), arguments[arguments.index("-o") + 1])
        return 3 if arguments[1] == "01" else 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_STORE", "")  # put back afterwards
    monkeypatch.setattr(gallery.cli, "main", run)
    assert gallery.main(["--execute", "--preset", "full", "--store", "kept"]) == 3
    assert [arguments[:5] for arguments in ran] == [["run", key, "--preset", "full", "-o"] for key in ("00", "01")]
    assert os.environ["LABKIT_STORE"] == "kept"
    assert sorted(path.name for path in (tmp_path / "docs" / "executed").iterdir()) == ["00_tour.ipynb"]
    assert "00_tour.ipynb" in capsys.readouterr().out
