from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import report

PIXEL = base64.b64encode(b"not looked at").decode()
SCRIPT = '<div id="chart"></div><script src="https://cdn.example.org/vega.js"></script>'


def written(folder: Path, name: str = "01_case", prose: str = "# A < B\n\n$S$") -> Path:
    drawn = new_output("display_data", data={"image/png": PIXEL, "text/html": SCRIPT})
    cells = [new_markdown_cell(prose), new_code_cell("draw()", outputs=[drawn])]
    notebook = new_notebook(cells=cells)
    notebook.metadata.widgets = {
        "application/vnd.jupyter.widget-state+json": {"state": {"x": "https://cdn.example.org"}}
    }
    path = folder / f"{name}.ipynb"
    nbformat.write(notebook, path)
    return path


def test_pictures_prose_and_formulas_are_inside(tmp_path):
    page = report.build([written(tmp_path), written(tmp_path, "02_other", "# Two")], "The demo")
    assert f'src="data:image/png;base64,{PIXEL}"' in page
    assert 'alt="A &lt; B"' in page
    assert "<title>The demo</title>" in page
    assert '<a href="#01_case">A &lt; B</a>' in page
    assert '<article id="02_other">' in page
    assert "<math" in page
    assert "draw" in page


def test_nothing_is_loaded_and_nothing_runs(tmp_path):
    page = report.build([written(tmp_path)])
    assert report.OUTSIDE.search(page) is None
    assert "cdn" not in page
    assert "<script" not in page


@pytest.mark.parametrize(
    "prose",
    [
        "![badge](https://example.org/badge.png)",
        '<img alt="x" src=http://example.org/x.png>',
        '<script>alert("x")</script>',
        '<link rel="stylesheet" href="//example.org/x.css">',
        "<style>@import 'x.css'</style>",
        '<div style="background: url(https://example.org/x.png)"></div>',
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_a_page_that_would_load_something_is_refused(tmp_path, prose):
    with pytest.raises(report.NotSelfContained, match="would load or run"):
        report.build([written(tmp_path, prose=prose)])


def test_links_for_the_reader_are_no_loading(tmp_path):
    assert "https://arxiv.org" in report.build([written(tmp_path, prose="[paper](https://arxiv.org/abs/2403.08265)")])


def test_the_command_writes_the_page(tmp_path, capsys):
    out = tmp_path / "deep" / "report.html"
    assert report.main([str(written(tmp_path)), "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out.strip() == str(out)
