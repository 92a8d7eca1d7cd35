from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools.executed import headings, static, title

VIEW = "application/vnd.jupyter.widget-view+json"


def ran(*outputs) -> nbformat.NotebookNode:
    cells = [new_markdown_cell("# Title\n\n## The `curve`"), new_code_cell("show()", outputs=list(outputs))]
    return new_notebook(cells=cells)


def left(*outputs) -> list[dict]:
    return static(ran(*outputs)).cells[1].outputs


def shown(**data) -> nbformat.NotebookNode:
    return new_output("display_data", data={kind.replace("__", "/"): value for kind, value in data.items()})


def test_of_a_picture_only_the_picture_stays_with_the_heading_as_its_description():
    (picture,) = left(shown(image__png="AAAA", text__plain="alt.Chart(...)", text__html="<script></script>"))
    assert picture.data == {"image/png": "AAAA"}
    assert picture.metadata == {"image/png": {"alt": "The curve"}}


def test_a_description_that_a_figure_brought_stays():
    output = shown(image__png="AAAA")
    output.metadata = {"image/png": {"alt": "A chart.\nbetter"}}
    (picture,) = left(output)
    assert picture.metadata == {"image/png": {"alt": "A chart.\nbetter"}}


def test_a_long_description_is_cut_once():
    lines = [f"line {number}" for number in range(9)]
    output = shown(image__png="AAAA")
    output.metadata = {"image/png": {"alt": "\n".join(lines)}}
    once = static(ran(output))
    assert once.cells[1].outputs[0].metadata["image/png"]["alt"].split("\n") == [*lines[:6], "and 3 more lines"]
    assert static(once) == once
    output.metadata = {"image/png": {"alt": "\n".join(lines[:7])}}
    assert left(output)[0].metadata["image/png"]["alt"].split("\n") == lines[:7]


def test_a_pictures_size_stays():
    output = shown(image__png="AAAA")
    output.metadata = {"image/png": {"width": 300}}
    (picture,) = left(output)
    assert picture.metadata["image/png"]["width"] == 300


def test_widgets_leave_no_trace():
    notebook = ran(new_output("display_data", data={VIEW: {"model_id": "1"}, "text/plain": "Panel()"}))
    notebook.metadata.widgets = {"state": {}}
    notebook.metadata.papermill = {"output_path": "/home/someone/out.ipynb"}
    notebook.cells[1].metadata.papermill = {"duration": 3.0}
    notebook.cells[1].metadata.execution = {"iopub.execute_input": "2026-11-22"}
    made = static(notebook)
    assert made.cells[1].outputs == []
    assert "widgets" not in made.metadata
    assert "papermill" not in made.metadata
    assert made.cells[1].metadata == {}
    assert notebook.metadata.widgets == {"state": {}}  # the given one is not touched
    nbformat.validate(made)


def test_tables_and_texts_stay_and_scripts_go():
    (table,) = left(shown(text__html="<table></table>", text__plain="<Table at 0x7f01>"))
    assert table.data == {"text/html": "<table></table>", "text/plain": "<Table>"}
    assert left(shown(text__html="<div></div><script>x</script>", text__plain="Chart()")) == []
    assert left(shown(application__javascript="x", text__plain="<Javascript>")) == []
    (text,) = left(new_output("execute_result", data={"text/plain": "0.5"}))
    assert text.data == {"text/plain": "0.5"}


def test_a_progress_line_keeps_what_stayed_on_the_terminal():
    (line,) = left(new_output("stream", text="10 %\r50 %\r100 %\nfinished\r\n"))
    assert line.text == "100 %\nfinished\n"
    assert left(new_output("stream", text=" \n")) == []


def test_errors_stay():
    error = new_output("error", ename="ClaimFailed", evalue="no", traceback=[])
    assert left(error) == [error]


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("# One\ntext\n## Two ##", ["One", "Two"]),
        ("```\n# a comment\n```\n# Real", ["Real"]),
        ("no heading, #hashtag", []),
    ],
)
def test_headings(markdown, expected):
    assert headings(markdown) == expected


def test_title():
    assert title(ran()) == "Title"
    assert title(new_notebook()) == ""
