"""Write the parameters cell of each notebook from its experiment's Spec: `make parameters`."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit import experiments
from labkit.spec import Control, Spec

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TAG = "parameters"


def source(spec: type[Spec]) -> str:
    """The cell's text: one `name: type = None  # help` line for each field, as papermill reads them.

    A field that takes a comma list is of type str.
    """
    lines = ["# None takes the preset's value; anything given wins. A comma list runs each of its values."]
    return "\n".join(lines + [_line(control) for control in spec.controls().values()])


def cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells tagged as parameters; there should be one."""
    return [cell for cell in notebook.cells if TAG in cell.metadata.get("tags", [])]


def write(path: Path, spec: type[Spec]) -> bool:
    """Put the cell right; returns whether that changed it."""
    notebook = nbformat.read(path, as_version=4)
    (cell,) = cells(notebook)
    changed = cell.source != source(spec)
    if changed:
        cell.source = source(spec)
        nbformat.write(notebook, path)
    return changed


def main() -> int:
    for key in experiments.names():
        experiment = experiments.get(key)
        path = NOTEBOOKS / f"{experiment.notebook}.ipynb"
        print(f"{path.name}: {'written' if write(path, experiment.spec) else 'was right'}")
    return 0


def _line(control: Control) -> str:
    told = "" if control.kind == "str" and not control.choices else f"; {control.allowed()}"
    return f"{control.name}: {'str' if control.grid else control.kind} = None  # {control.help}{told}"


if __name__ == "__main__":
    sys.exit(main())
