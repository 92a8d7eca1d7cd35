"""Every notebook executed headless at preset quick, as `make demo` and a reader's CI do."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from labkit import cli, experiments
from tools import gallery, report
from tools.executed import static

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).parent / "nbval.cfg"


@dataclass(frozen=True)
class Executed:
    """A notebook that was executed, and the store that its runs are in."""

    path: Path
    store: Path
    code: int

    @property
    def notebook(self) -> nbformat.NotebookNode:
        return nbformat.read(self.path, as_version=4)


@pytest.fixture(scope="module", params=["00", "01", "02", "03", "04", "05"])
def executed(request, tmp_path_factory) -> Executed:
    folder = tmp_path_factory.mktemp("executed")
    path = folder / f"{experiments.get(request.param).notebook}.ipynb"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABKIT_STORE", str(folder / "store"))
        code = cli.main(["run", request.param, "-o", str(path)])
    return Executed(path, folder / "store", code)


def compared_with_itself(path: Path, store: Path) -> subprocess.CompletedProcess:
    """nbval: execute a notebook once more, and compare each output with the one it holds."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider"]
    nbval = ["--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(CONFIG), path.name]
    environment = os.environ | {"LABKIT_STORE": str(store)}
    return subprocess.run(
        [*command, *nbval], cwd=path.parent, env=environment, capture_output=True, text=True, check=False
    )


def outputs(notebook: nbformat.NotebookNode) -> list[dict]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_it_finishes_and_its_claims_hold(executed):
    assert executed.code == 0
    assert [output for output in outputs(executed.notebook) if output.output_type == "error"] == []


def test_nothing_is_said_on_stderr(executed):
    assert [o.text for o in outputs(executed.notebook) if o.get("name") == "stderr"] == []


def test_each_figure_is_a_picture_that_needs_no_script(executed):
    wanted = sum("panel.figure(" in cell.source for cell in executed.notebook.cells)
    drawn = [output for output in outputs(static(executed.notebook)) if "image/png" in output.get("data", {})]
    assert len(drawn) >= wanted + 1  # the panel's own picture too
    assert all(output.metadata["image/png"]["alt"] for output in drawn)


def test_the_report_of_it_loads_nothing(executed):
    page = report.build([executed.path])
    assert page.count("data:image/png;base64,") == len(gallery.pictures(static(executed.notebook)))


def test_the_copy_for_readers_names_no_folder_and_holds_no_widget(executed, tmp_path):
    copy = gallery.keep(executed.path, tmp_path)
    text = copy.read_text()
    assert "widget-view" not in text
    assert "widget-state" not in text
    assert str(executed.path.parent) not in text
    assert copy.stat().st_size < 5_000_000


def test_executed_again_it_says_the_same_from_the_store(executed):
    # No cell prints anything but what is in the store: the second time nothing trains, and every text is the same.
    done = compared_with_itself(executed.path, executed.store)
    assert done.returncode == 0, done.stdout[-3000:]


def test_executed_again_it_draws_the_same_pictures_from_the_store(executed, monkeypatch):
    monkeypatch.setenv("LABKIT_STORE", str(executed.store))
    again = executed.path.with_name("again.ipynb")
    assert cli.main(["run", executed.path.stem[:2], "-o", str(again)]) == 0
    first, second = (gallery.pictures(static(nbformat.read(path, as_version=4))) for path in (executed.path, again))
    assert [name for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()


def test_a_text_that_changed_would_be_noticed(executed):
    changed = executed.notebook
    printed = [output for output in outputs(changed) if output.get("name") == "stdout"]
    printed[-1].text = "something else\n"
    path = executed.path.with_name("changed.ipynb")
    nbformat.write(changed, path)
    assert compared_with_itself(path, executed.store).returncode == 1
