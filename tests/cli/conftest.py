from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from labkit import experiments
from labkit.cli import main
from labkit.runs import Store

NAMES = ("sparsity", "steps", "seeds", "preset", "device", "store")
PARAMETERS = "\n".join(f"{name}: str = None" for name in NAMES)
CELL = """
from fake_experiment import EXPERIMENT, FakeSpec
from labkit.runs import Store, Worker, store_path
spec = FakeSpec.of(sparsity=sparsity, steps=steps, seeds=seeds, preset=preset, device=device, store=store)
with Store(store_path(spec.store)) as opened:
    for update in Worker(EXPERIMENT, spec, opened).run():
        pass
"""


@dataclass
class Lab:
    """A folder to work in, and what a command said there."""

    path: Path
    capfd: pytest.CaptureFixture
    cell: str = CELL

    def write_notebook(self, cell: str = CELL) -> None:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [
            nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell(cell),
        ]
        book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(book, self.path / "notebooks" / "99_fake.ipynb")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main(arguments)
        return code, *self.capfd.readouterr()

    def store(self) -> Store:
        return Store(self.path / "store")


@pytest.fixture
def lab(tmp_path, monkeypatch, capfd):
    """The fake experiment is number 99, and its notebook runs it."""
    monkeypatch.setitem(experiments.MODULES, "99", "fake_experiment")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))  # the kernel imports the fake experiment too
    monkeypatch.setenv("LABKIT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LABKIT_NOTEBOOKS", str(tmp_path / "notebooks"))
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    made = Lab(tmp_path, capfd)
    made.write_notebook()
    return made
