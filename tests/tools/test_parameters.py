from __future__ import annotations

import nbformat
import papermill
from nbformat.v4 import new_code_cell, new_notebook

from labkit.spec import Spec, control
from tools import parameters


class Little(Spec):
    rate: tuple[float, ...] = control(0.5, help="share", ge=0, lt=1)
    kind: str = control("a", help="which", choices=("a", "b"))
    twice: bool = control(False, help="again")


def test_lines_by_hand():
    lines = parameters.source(Little).splitlines()
    assert lines[0].startswith("# None takes the preset's value")
    assert "rate: str = None  # share; a number in [0, 1), or a comma list of them" in lines
    assert "kind: str = None  # which; one of a, b" in lines
    assert "twice: bool = None  # again; true or false" in lines
    assert "store: str = None  # folder of the results; empty for the default" in lines


def test_papermill_reads_every_name_and_help(tmp_path):
    path = tmp_path / "little.ipynb"
    cells = [new_code_cell("old: int = 3", metadata={"tags": ["parameters"]}), new_code_cell("old: int = 3")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    assert parameters.write(path, Little)
    assert not parameters.write(path, Little)  # right already
    told = papermill.inspect_notebook(str(path))
    assert list(told) == list(Little.controls())
    assert all(item["default"] == "None" for item in told.values())
    assert told["rate"]["help"].startswith("share")
    assert nbformat.read(path, as_version=4).cells[1].source == "old: int = 3"
