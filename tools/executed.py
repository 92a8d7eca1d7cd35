"""Executed notebooks as a reader without a kernel sees them: pictures and text, no widgets and no scripts."""

from __future__ import annotations

import copy
import re

from nbformat import NotebookNode

from labkit.charts.png import heard

PICTURES = ("image/png", "image/svg+xml", "image/jpeg")
STATIC = (*PICTURES, "text/html", "text/markdown", "text/plain")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def static(notebook: NotebookNode) -> NotebookNode:
    """A copy without widget state and views, scripts, timings and file names of the machine that ran it.

    Of an output with a picture only the picture stays, with the description that it brought, else the heading above it.
    """
    made = copy.deepcopy(notebook)
    for name in ("widgets", "papermill"):
        made.metadata.pop(name, None)
    heading = ""
    for cell in made.cells:
        for name in ("execution", "papermill"):
            cell.metadata.pop(name, None)
        if cell.cell_type == "markdown":
            heading = next(reversed(headings(cell.source)), heading)
        elif cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _static_output(output, heading))]
    return made


def headings(markdown: str) -> list[str]:
    """The headings of a markdown cell, in order, without their marks; a `#` inside a code fence is none."""
    outside = re.sub(r"```.*?(```|\Z)", "", markdown, flags=re.DOTALL)
    return [
        re.sub(r"[`*]|\s#+$", "", match).strip()
        for match in re.findall(r"^#{1,6}\s+(.+)$", outside, flags=re.MULTILINE)
    ]


def title(notebook: NotebookNode) -> str:
    """The first heading of the notebook, or an empty text."""
    return next((text for cell in notebook.cells if cell.cell_type == "markdown" for text in headings(cell.source)), "")


def _static_output(output: NotebookNode, heading: str) -> NotebookNode | None:
    if output.output_type == "stream":
        # A progress line overwrites itself: only what stayed on the terminal stays here.
        output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in output.text.split("\n"))
        return output if output.text.strip() else None
    if output.output_type not in ("display_data", "execute_result"):
        return output
    drawn_by_script = any(kind not in STATIC for kind in output.data)
    output.data = NotebookNode({kind: value for kind, value in output.data.items() if kind in STATIC})
    picture = next((kind for kind in PICTURES if kind in output.data), None)
    if picture:
        output.data = NotebookNode({picture: output.data[picture]})
        size = output.metadata.get(picture, {})
        output.metadata = NotebookNode({picture: {**size, "alt": heard(size.get("alt") or heading)}})
        return output
    output.metadata = NotebookNode()
    if "<script" in output.data.get("text/html", ""):
        del output.data["text/html"]
        drawn_by_script = True
    if drawn_by_script and set(output.data) <= {"text/plain"}:
        return None  # the text that stands for a widget or a script's drawing
    if "text/plain" in output.data:
        output.data["text/plain"] = ADDRESS.sub("", output.data["text/plain"])
    return output
